#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace groma {

enum class ImageKind { kJpeg, kPng, kWebp, kBmp };

/// What a picture file says of itself before anything is decoded.
struct ImageHeader {
  ImageKind kind;
  int width = 0;        ///< pixels as stored, before `orientation`
  int height = 0;       ///< pixels as stored
  int orientation = 1;  ///< EXIF: 1 as stored, 2..8 the mirrored and turned ones
};

/// The longest side and the area that pictures may have.
constexpr int kMaxImageSide = 65535;
constexpr std::int64_t kMaxImagePixels = 100'000'000;

/// Reads the header of a jpeg, png, webp or bmp file and walks its structure; decodes nothing.
///
/// A damaged EXIF block counts as none, whatever it says of the orientation.
/// name      stands for the file in messages
/// throws    Error when the file is of another kind, cut off, damaged or too large
/// source    ITU T.81 annex B; W3C PNG 3rd edition; RFC 9649 (WebP); CIPA DC-008 (EXIF)
ImageHeader read_image_header(std::span<const std::uint8_t> bytes, const std::string& name);

/// Throws an Error unless the size is within the limits; `doing` begins the message.
void check_image_size(std::int64_t width, std::int64_t height, const std::string& doing);

}  // namespace groma
