#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

namespace groma::testing {

/// A number in `width` bytes, lowest first.
inline std::string little(std::uint64_t value, int width) {
  std::string bytes;
  for (int i = 0; i < width; ++i, value >>= 8) bytes += static_cast<char>(value & 255);
  return bytes;
}

/// Writes a file without the care of io::write_file, which thousands of damaged copies do not need.
inline void write_bytes(const std::filesystem::path& path, const std::string& bytes) {
  std::filesystem::remove(path);  // ext4 flushes a file that is cut to nothing, not a new one
  std::ofstream(path, std::ios::binary) << bytes;
}

/// A safetensors file with this header, as it stands, and these bytes of data.
inline std::string safetensors_file(const std::string& header, const std::string& data) {
  return little(header.size(), 8) + header + data;
}

}  // namespace groma::testing
