#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace groma::io {

/// Tells files apart for certain.
///
/// source    FIPS 180-4
class Sha256 {
 public:
  void add(std::string_view bytes);
  std::string hex();  ///< ends the computation

 private:
  void block(const unsigned char* bytes);

  std::array<std::uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::string pending_;
  std::uint64_t bytes_ = 0;
};

std::string sha256(std::string_view bytes);

/// Of a file, or of a folder's files: their names, sizes and sums in the order of the names.
std::string sha256_of_path(const std::string& path);

}  // namespace groma::io
