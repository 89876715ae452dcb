#include "io/mapped_tensor.h"

#include <ATen/ops/empty_strided.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <cstring>

#include "check.h"

namespace groma::io {
namespace {

/// In the order of ElementType.
constexpr at::ScalarType kScalars[] = {at::kBool,  at::kByte,  at::kChar, at::kShort,
                                       at::kInt,   at::kLong,  at::kHalf, at::kBFloat16,
                                       at::kFloat, at::kDouble};

/// What a mapped tensor's storage holds on to.
struct Hold {
  std::shared_ptr<const MappedFile> file;
};

void drop_hold(void* hold) { delete static_cast<Hold*>(hold); }

std::vector<int64_t> row_major(const std::vector<int64_t>& sizes) {
  std::vector<int64_t> strides(sizes.size());
  int64_t step = 1;
  for (auto i = sizes.size(); i-- > 0;) {
    strides[i] = step;
    step *= std::max<int64_t>(sizes[i], 1);
  }
  return strides;
}

}  // namespace

at::ScalarType scalar_type_of(ElementType type) { return kScalars[static_cast<std::size_t>(type)]; }

ElementType element_type_of(at::ScalarType type, const std::string& name) {
  const auto* found = std::find(std::begin(kScalars), std::end(kScalars), type);
  require(found != std::end(kScalars), "write tensor ", quote(name), ": its type is ",
          c10::toString(type), ", which files cannot hold; convert it first");
  return kElements[static_cast<std::size_t>(found - std::begin(kScalars))].type;
}

at::Tensor map_tensor(const std::shared_ptr<const MappedFile>& file, const StoredTensor& stored) {
  const auto strides = stored.strides.empty() ? row_major(stored.sizes) : stored.strides;
  const auto& element = info_of(stored.type);
  const auto options = at::TensorOptions().dtype(scalar_type_of(stored.type));
  if (element_count(stored.sizes) == 0) return at::empty_strided(stored.sizes, strides, options);

  std::size_t span = 1;  // elements from the first to the last
  for (std::size_t i = 0; i < stored.sizes.size(); ++i) {
    span += static_cast<std::size_t>((stored.sizes[i] - 1) * strides[i]);
  }
  const auto* bytes = file->data() + stored.begin;
  if (stored.type == ElementType::kBool) {
    require(std::all_of(bytes, bytes + span, [](char c) { return c == 0 || c == 1; }), "read ",
            quote(file->path()), ": a BOOL tensor holds a byte that is neither 0 nor 1",
            "; the file is damaged, get it again");
  }
  if (reinterpret_cast<std::uintptr_t>(bytes) % element.size != 0) {
    auto copy = at::empty_strided(stored.sizes, strides, options);
    std::memcpy(copy.data_ptr(), bytes, span * element.size);
    file->release(stored.begin, span * element.size);
    return copy;
  }
  auto* data = const_cast<char*>(bytes);  // torch knows no read-only memory; see safetensors.h
  return at::for_blob(data, stored.sizes)
      .strides(strides)
      .context(new Hold{file}, drop_hold)
      .options(options)
      .make_tensor();
}

void release_pages(const at::Tensor& tensor) {
  const auto& memory = tensor.storage().data_ptr();
  const auto* hold = memory.cast_context<Hold>(&drop_hold);
  if (hold == nullptr) return;
  const auto begin = static_cast<const char*>(memory.get()) - hold->file->data();
  hold->file->release(static_cast<std::size_t>(begin), tensor.storage().nbytes());
}

}  // namespace groma::io
