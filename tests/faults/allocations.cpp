#include "faults/allocations.h"

#include <link.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

namespace {

std::atomic<std::size_t> made{0}, failing{0};
std::atomic<std::ptrdiff_t> live{0};

struct Range {
  std::uintptr_t begin = 0, end = 0;
};

/// Where the code of the sentencepiece library is.
Range find_sentencepiece() {
  Range range;
  ::dl_iterate_phdr(
      [](dl_phdr_info* object, std::size_t, void* result) {
        if (std::strstr(object->dlpi_name, "libsentencepiece.so") == nullptr) return 0;
        auto& found = *static_cast<Range*>(result);
        found.begin = object->dlpi_addr;
        for (int i = 0; i < object->dlpi_phnum; ++i) {
          const auto& part = object->dlpi_phdr[i];
          found.end = std::max(found.end, object->dlpi_addr + part.p_vaddr + part.p_memsz);
        }
        return 1;
      },
      &range);
  return range;
}

bool counts(const void* caller) {
  static const Range excepted = find_sentencepiece();
  const auto address = reinterpret_cast<std::uintptr_t>(caller);
  return address < excepted.begin || address >= excepted.end;
}

inline void* allocate(std::size_t size, std::size_t alignment, const void* caller) {
  if (counts(caller) && ++made == failing) throw std::bad_alloc();
  void* const memory =
      alignment > alignof(std::max_align_t)
          ? std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment)
          : std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  ++live;
  return memory;
}

void release(void* memory) {
  if (memory == nullptr) return;
  --live;
  std::free(memory);
}

}  // namespace

void* operator new(std::size_t size) { return allocate(size, 0, __builtin_return_address(0)); }
void* operator new[](std::size_t size) { return allocate(size, 0, __builtin_return_address(0)); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate(size, static_cast<std::size_t>(alignment), __builtin_return_address(0));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return allocate(size, static_cast<std::size_t>(alignment), __builtin_return_address(0));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  try {
    return allocate(size, 0, __builtin_return_address(0));
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  try {
    return allocate(size, 0, __builtin_return_address(0));
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void operator delete(void* memory) noexcept { release(memory); }
void operator delete[](void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t) noexcept { release(memory); }
void operator delete[](void* memory, std::size_t) noexcept { release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { release(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { release(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { release(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { release(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { release(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { release(memory); }

namespace groma::testing {

void fail_allocation(std::size_t n) {
  failing = 0;
  made = 0;
  failing = n;
}

std::size_t allocations() { return made; }
std::ptrdiff_t live_allocations() { return live; }
bool allocation_failed() { return failing > 0 && made >= failing; }

}  // namespace groma::testing
