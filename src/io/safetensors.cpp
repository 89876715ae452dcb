#include "io/safetensors.h"

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "check.h"
#include "io/mapped_tensor.h"
#include "io/safetensors_header.h"

namespace groma::io {
namespace {

constexpr std::size_t kDataAlignment = 64;

/// A tensor of the file to be written.
struct Item {
  const std::string* name;
  const at::Tensor* tensor;
  ElementType type;
  std::size_t bytes() const {
    return static_cast<std::size_t>(tensor->numel()) * info_of(type).size;
  }
};

/// The header's text, padded so that the data that follow it are aligned.
std::string header_text(const std::vector<Item>& items,
                        const std::map<std::string, std::string>& metadata,
                        const std::string& path) {
  auto header = nlohmann::json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::size_t begin = 0;
  for (const auto& item : items) {
    require(*item.name != "__metadata__", "write ", quote(path),
            ": a tensor is called '__metadata__', which the format reserves; rename it");
    header[*item.name] = {{"dtype", info_of(item.type).name},
                          {"shape", item.tensor->sizes().vec()},
                          {"data_offsets", {begin, begin + item.bytes()}}};
    begin += item.bytes();
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception&) {  // names that are not UTF-8
  }
  require(!text.empty(), "write ", quote(path),
          ": a tensor's name or the metadata is not UTF-8; rename it");
  const auto length = (8 + text.size() + kDataAlignment - 1) / kDataAlignment * kDataAlignment - 8;
  text.resize(length, ' ');
  return text;
}

}  // namespace

TensorMap read_safetensors(const std::string& path) {
  const auto file = MappedFile::open(path);
  TensorMap tensors;
  for (const auto& [name, stored] : read_safetensors_header(*file).tensors) {
    tensors[name] = map_tensor(file, stored);
  }
  return tensors;
}

std::map<std::string, std::string> read_safetensors_metadata(const std::string& path) {
  return read_safetensors_header(*MappedFile::open(path)).metadata;
}

void write_safetensors(AtomicFile& file, const TensorMap& tensors,
                       const std::map<std::string, std::string>& metadata,
                       std::optional<at::ScalarType> dtype, const ValueOf& value_of) {
  std::vector<Item> items;
  for (const auto& [name, tensor] : tensors) {
    items.push_back({&name, &tensor, element_type_of(dtype.value_or(tensor.scalar_type()), name)});
  }
  // Larger elements first, so that every tensor is aligned although no gaps are allowed.
  std::stable_sort(items.begin(), items.end(), [](const Item& a, const Item& b) {
    return info_of(a.type).size > info_of(b.type).size;
  });
  const auto text = header_text(items, metadata, file.path());
  std::string length(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) length[i] = static_cast<char>(text.size() >> (8 * i) & 255);
  file.write(length);
  file.write(text);
  for (const auto& item : items) {
    const auto value = value_of ? value_of(*item.name, *item.tensor) : item.tensor->detach();
    TORCH_CHECK(value.sizes() == item.tensor->sizes(), "write_safetensors: the value of ",
                *item.name, " is ", value.sizes(), ", announced was ", item.tensor->sizes());
    const auto data = value.to(at::kCPU, scalar_type_of(item.type)).contiguous();
    file.write({static_cast<const char*>(data.data_ptr()), item.bytes()});
  }
}

void write_safetensors(const std::string& path, const TensorMap& tensors,
                       const std::map<std::string, std::string>& metadata) {
  AtomicFile file(path);
  write_safetensors(file, tensors, metadata);
  file.commit();
}

}  // namespace groma::io
