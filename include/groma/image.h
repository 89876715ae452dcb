#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace groma {

/// A picture as displayed: 8-bit RGB, EXIF orientation applied, alpha dropped.
///
/// Immutable; copies share the pixels; safe to use from several threads.
class Image {
 public:
  /// Reads a jpeg, png, webp or bmp file, recognised by its first bytes.
  ///
  /// throws    Error when the file is missing, unreadable, damaged, cut off, of another kind, or
  ///           larger than 100 megapixels or 65535 pixels a side (checked in its header before
  ///           anything is decoded)
  static Image open(const std::string& path);

  /// Decodes the bytes of such a file; `name` stands for the file in messages.
  static Image decode(const void* bytes, std::size_t size, const std::string& name = "image");

  /// Copies interleaved RGB rows; `stride` is the distance of two rows in bytes, 0 means 3 * width.
  static Image from_rgb(const std::uint8_t* rgb, int width, int height, std::size_t stride = 0);

  int width() const;   ///< pixels
  int height() const;  ///< pixels

  /// height * width * 3 bytes, RGB, rows without padding; valid as long as this object lives.
  const std::uint8_t* data() const;

  /// Writes a png, jpg or webp file (by extension), whole or not at all.
  void save(const std::string& path) const;

 private:
  struct Pixels;
  explicit Image(std::shared_ptr<const Pixels> pixels);
  std::shared_ptr<const Pixels> pixels_;
};

}  // namespace groma
