#pragma once

#include <cstdint>
#include <opencv2/core/mat.hpp>
#include <span>
#include <string>

#include "groma/image.h"
#include "image/header.h"

namespace groma {

/// Decodes a picture whose header was read, as stored: orientation not applied, alpha dropped.
///
/// 16-bit samples keep their upper 8 bits; CMYK becomes RGB without a colour profile. Prints
/// nothing.
///
/// returns   CV_8UC3, RGB, rows without padding
/// throws    Error when the file is damaged or its data end early
cv::Mat decode_pixels(std::span<const std::uint8_t> bytes, const ImageHeader& header,
                      const std::string& name);

/// The bytes of a picture file; the extension of `name` (.png, .jpg, .jpeg, .webp) says which.
///
/// throws    Error when it is another, or when such a file cannot hold a picture of this size
std::string encode_picture(const Image& image, const std::string& name);

}  // namespace groma
