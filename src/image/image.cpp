#include "groma/image.h"

#include <cstring>
#include <opencv2/core.hpp>
#include <span>
#include <string_view>
#include <utility>

#include "check.h"
#include "image/codecs.h"
#include "image/header.h"
#include "io/file.h"

namespace groma {

struct Image::Pixels {
  cv::Mat rgb;  ///< CV_8UC3, rows without padding
};

namespace {

/// More than any picture of at most kMaxImagePixels needs, even uncompressed with 16-bit samples.
constexpr std::size_t kMaxFileBytes = std::size_t{1} << 30;

/// Turns and mirrors a picture as its EXIF orientation asks.
cv::Mat orient(const cv::Mat& stored, int orientation) {
  constexpr int kBothAxes = -1;
  constexpr int kUpsideDown = 0;
  constexpr int kMirrored = 1;
  cv::Mat upright;
  switch (orientation) {
    case 2:
      cv::flip(stored, upright, kMirrored);
      return upright;
    case 3:
      cv::flip(stored, upright, kBothAxes);
      return upright;
    case 4:
      cv::flip(stored, upright, kUpsideDown);
      return upright;
    case 5:
      cv::transpose(stored, upright);
      return upright;
    case 6:
      cv::rotate(stored, upright, cv::ROTATE_90_CLOCKWISE);
      return upright;
    case 7:
      cv::transpose(stored, upright);
      cv::flip(upright, upright, kBothAxes);
      return upright;
    case 8:
      cv::rotate(stored, upright, cv::ROTATE_90_COUNTERCLOCKWISE);
      return upright;
    default:
      return stored;
  }
}

}  // namespace

Image::Image(std::shared_ptr<const Pixels> pixels) : pixels_(std::move(pixels)) {}

Image Image::open(const std::string& path) {
  require(!path.starts_with("http://") && !path.starts_with("https://"), "open ", io::quote(path),
          ": found an address, expected a file; download it first, nothing is fetched from there");
  const std::string bytes = io::read_text_file(path, kMaxFileBytes);
  return decode(bytes.data(), bytes.size(), path);
}

Image Image::decode(const void* bytes, std::size_t size, const std::string& name) {
  require(size <= kMaxFileBytes, "open ", io::quote(name), ": more than ", kMaxFileBytes,
          " bytes, at most that many are read; make the picture smaller");
  const std::span<const std::uint8_t> file(static_cast<const std::uint8_t*>(bytes), size);
  const ImageHeader header = read_image_header(file, name);
  const cv::Mat stored = decode_pixels(file, header, name);
  return Image(std::make_shared<const Pixels>(Pixels{orient(stored, header.orientation)}));
}

Image Image::from_rgb(const std::uint8_t* rgb, int width, int height, std::size_t stride) {
  check_image_size(width, height, "make an image");
  const std::size_t row_bytes = std::size_t{3} * static_cast<std::size_t>(width);
  if (stride == 0) stride = row_bytes;
  require(rgb != nullptr, "make an image: found no pixels; pass a pointer to them");
  require(stride >= row_bytes, "make an image: a stride of ", stride, " bytes, rows have ",
          row_bytes, "; give the distance of two rows in bytes");
  cv::Mat pixels(height, width, CV_8UC3);
  for (int y = 0; y < height; ++y) {
    std::memcpy(pixels.ptr(y), rgb + static_cast<std::size_t>(y) * stride, row_bytes);
  }
  return Image(std::make_shared<const Pixels>(Pixels{pixels}));
}

int Image::width() const { return pixels_->rgb.cols; }

int Image::height() const { return pixels_->rgb.rows; }

const std::uint8_t* Image::data() const { return pixels_->rgb.data; }

void Image::save(const std::string& path) const {
  io::write_file(path, encode_picture(*this, path));
}

}  // namespace groma
