#pragma once

#include <cstdint>
#include <opencv2/imgcodecs.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "groma/image.h"

// Small picture files made byte by byte, to hold what no encoder writes.

namespace groma::testing {

/// A number as `count` bytes, the most significant first.
inline std::string big(std::uint32_t value, int count) {
  std::string bytes;
  for (int i = count; i-- > 0;) bytes += static_cast<char>(value >> 8 * i & 0xFF);
  return bytes;
}

/// A number as `count` bytes, the least significant first.
inline std::string little(std::uint32_t value, int count) {
  const std::string bytes = big(value, count);
  return {bytes.rbegin(), bytes.rend()};
}

/// An EXIF block (TIFF header and one directory) that holds the orientation after another tag.
inline std::string exif_block(int orientation, bool little_endian) {
  const auto number = little_endian ? little : big;
  std::string block = little_endian ? "II" : "MM";
  block += number(42, 2) + number(8, 4) + number(2, 2);
  block += number(0x010F, 2) + number(2, 2) + number(4, 4) + "abc" + std::string(1, '\0');
  block += number(0x0112, 2) + number(3, 2) + number(1, 4) + number(orientation, 2) + number(0, 2);
  return block + number(0, 4);
}

/// Puts an EXIF segment behind the first two bytes of a jpeg.
inline std::string with_exif(const std::string& jpeg, const std::string& block) {
  const std::string content = std::string("Exif\0\0", 6) + block;
  return jpeg.substr(0, 2) + "\xFF\xE1" + big(content.size() + 2, 2) + content + jpeg.substr(2);
}

inline std::string png_chunk(std::string_view type, const std::string& content) {
  const std::string checked = std::string(type) + content;
  std::uint32_t crc = 0xFFFFFFFF;
  for (const char c : checked) {
    crc ^= static_cast<std::uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
  }
  return big(content.size(), 4) + checked + big(~crc, 4);
}

inline std::string png_header(std::uint32_t width, std::uint32_t height, int bits, int color_type) {
  return std::string("\x89PNG\r\n\x1A\n") +
         png_chunk("IHDR", big(width, 4) + big(height, 4) + big(bits, 1) + big(color_type, 1) +
                               std::string(3, '\0'));
}

/// A png whose rows (each with its filter byte in front) are stored uncompressed.
inline std::string png_file(std::uint32_t width, std::uint32_t height, int bits, int color_type,
                            const std::string& rows, const std::string& chunks_before = "") {
  std::uint32_t a = 1, b = 0;
  for (const char c : rows) {
    a = (a + static_cast<std::uint8_t>(c)) % 65521;
    b = (b + a) % 65521;
  }
  const std::string data = "\x78\x01\x01" + little(rows.size(), 2) +
                           little(~static_cast<std::uint32_t>(rows.size()), 2) + rows +
                           big(b << 16 | a, 4);
  return png_header(width, height, bits, color_type) + chunks_before + png_chunk("IDAT", data) +
         png_chunk("IEND", "");
}

/// A photograph-like picture: smooth colours with an edge, the same every time.
inline cv::Mat sample_bgr(int width, int height) {
  cv::Mat bgr(height, width, CV_8UC3);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      bgr.at<cv::Vec3b>(y, x) = {static_cast<std::uint8_t>(x * 7 + y),
                                 static_cast<std::uint8_t>(x > width / 2 ? 200 : y * 5),
                                 static_cast<std::uint8_t>(x * y)};
    }
  }
  return bgr;
}

inline std::string encoded(const std::string& extension, const cv::Mat& bgr,
                           const std::vector<int>& options = {}) {
  std::vector<std::uint8_t> bytes;
  cv::imencode(extension, bgr, bytes, options);
  return {bytes.begin(), bytes.end()};
}

/// One example of each kind of file.
inline std::vector<std::string> one_of_each_kind() {
  const cv::Mat picture = sample_bgr(24, 16);
  return {encoded(".jpg", picture), encoded(".png", picture), encoded(".webp", picture),
          encoded(".bmp", picture)};
}

inline Image decode(const std::string& file, const std::string& name = "test") {
  return Image::decode(file.data(), file.size(), name);
}

/// The message of the Error that `call` throws; empty when it throws none.
template <typename Call>
std::string error_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

/// Red, green and blue of a pixel.
inline std::vector<int> pixel(const Image& image, int x, int y) {
  const std::uint8_t* rgb = image.data() + (std::size_t{1} * y * image.width() + x) * 3;
  return {rgb[0], rgb[1], rgb[2]};
}

}  // namespace groma::testing
