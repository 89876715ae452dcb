#include "ops/large_pages.h"

#include <ATen/Parallel.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "ops/thread_pool.h"

namespace groma::ops {

at::Tensor zeros_in_large_pages(int64_t rows, int64_t columns) {
  constexpr std::size_t kPage = std::size_t{2} << 20;
  const auto bytes = static_cast<std::size_t>(rows * columns);
  if (bytes < kPage) return at::zeros({rows, columns}, at::kByte);
  const auto mapped = bytes + kPage;  // some of it to begin where a page does
  void* memory = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  auto* begin = reinterpret_cast<char*>((address + kPage - 1) / kPage * kPage);
#ifdef MADV_HUGEPAGE
  madvise(begin, bytes, MADV_HUGEPAGE);  // a wish: without it the pages are small
#endif
  return at::from_blob(
      begin, {rows, columns}, [memory, mapped](void*) { munmap(memory, mapped); }, at::kByte);
}

at::Tensor copy_to_large_pages(const at::Tensor& bytes) {
  auto copy = zeros_in_large_pages(bytes.size(0), bytes.size(1));
  const auto source = bytes.contiguous();
  const auto* from = static_cast<const char*>(source.const_data_ptr());
  auto* to = static_cast<char*>(copy.mutable_data_ptr());
  constexpr int64_t kPiece = int64_t{4} << 20;
  const auto size = static_cast<int64_t>(source.nbytes());
  for_each_chunk((size + kPiece - 1) / kPiece, at::get_num_threads(), [&](int64_t piece) {
    const auto begin = piece * kPiece;
    std::memcpy(to + begin, from + begin, static_cast<std::size_t>(std::min(kPiece, size - begin)));
  });
  return copy;
}

}  // namespace groma::ops
