#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace groma::io {

/// Types of elements that weight files hold.
enum class ElementType { kBool, kU8, kI8, kI16, kI32, kI64, kF16, kBF16, kF32, kF64 };

struct ElementInfo {
  ElementType type;
  std::string_view name;     ///< in safetensors
  std::string_view storage;  ///< class in a pickle
  std::size_t size;          ///< bytes
};

/// In the order of the enumeration.
inline constexpr std::array<ElementInfo, 10> kElements = {{
    {ElementType::kBool, "BOOL", "BoolStorage", 1},
    {ElementType::kU8, "U8", "ByteStorage", 1},
    {ElementType::kI8, "I8", "CharStorage", 1},
    {ElementType::kI16, "I16", "ShortStorage", 2},
    {ElementType::kI32, "I32", "IntStorage", 4},
    {ElementType::kI64, "I64", "LongStorage", 8},
    {ElementType::kF16, "F16", "HalfStorage", 2},
    {ElementType::kBF16, "BF16", "BFloat16Storage", 2},
    {ElementType::kF32, "F32", "FloatStorage", 4},
    {ElementType::kF64, "F64", "DoubleStorage", 8},
}};

inline const ElementInfo& info_of(ElementType type) {
  return kElements[static_cast<std::size_t>(type)];
}

/// Most dimensions of a tensor that is read; the model's have at most 4.
inline constexpr std::size_t kMaxDimensions = 8;

/// Where a file keeps a tensor. Readers guarantee that all of it lies inside the file.
struct StoredTensor {
  ElementType type = ElementType::kF32;
  std::vector<int64_t> sizes;
  std::vector<int64_t> strides;  ///< elements; empty: row-major without gaps
  std::size_t begin = 0;         ///< of the first element, bytes from the start of the file
};

/// a * b, or nothing when it does not fit; both at least 0.
inline std::optional<int64_t> checked_product(int64_t a, int64_t b) {
  int64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

/// Number of elements, or nothing when it, or that of the non-zero sizes alone, does not fit.
inline std::optional<int64_t> element_count(const std::vector<int64_t>& sizes) {
  std::optional<int64_t> product = 1;
  bool empty = false;
  for (const auto size : sizes) {
    if (product) product = checked_product(*product, size == 0 ? 1 : size);
    empty = empty || size == 0;
  }
  return product && empty ? 0 : product;
}

}  // namespace groma::io
