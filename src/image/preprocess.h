#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <string>

#include "groma/groma.h"

namespace groma {

/// How pixels become network input (preprocessor_config.json).
struct PixelNorm {
  std::array<float, 3> mean = {0.485f, 0.456f, 0.406f};
  std::array<float, 3> std = {0.229f, 0.224f, 0.225f};
};

/// Reads preprocessor_config.json of a checkpoint; the ImageNet values when there is none.
///
/// Keys that change nothing for an image of `image_size` pixels a side are passed over.
/// throws    Error naming the file and key when a value asks for another computation than ours
PixelNorm read_pixel_norm(const std::string& directory, int64_t image_size);

/// Squashes an image to size x size; aspect ratio ignored.
///
/// returns   [size, size, 3] uint8 RGB; bicubic as Pillow, to the level; bilinear as OpenCV
at::Tensor resize_image(const Image& image, int64_t size, Resize resize);

/// returns   [1, 3, size, size] float: (pixel / 255 - mean) / std
at::Tensor normalize_pixels(const at::Tensor& pixels_u8, const PixelNorm& norm);

}  // namespace groma
