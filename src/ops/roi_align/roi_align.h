#pragma once

#include <ATen/core/Tensor.h>

namespace groma::ops {

/// Pools every box of a feature map into a fixed grid of averaged bilinear samples.
///
/// features  [B, C, H, W], float, double, half or bfloat16; any strides, channels-last is fastest
/// boxes     [R, 5] float or double: batch index, then x1, y1, x2, y2 in input pixels;
///           x2 < x1 samples backwards
/// size      cells a side of the grid, as height and width
/// scale     map pixels per input pixel
/// sampling  samples a side of each cell, at least 1
/// returns   [R, C, height, width], dtype of `features`; empty when R is 0
/// throws    c10::Error when shapes, dtypes or devices disagree
/// source    He et al. 2017, section 3; reference mmcv roi_align (aligned, average)
at::Tensor roi_align(const at::Tensor& features, const at::Tensor& boxes, int64_t height,
                     int64_t width, double scale, int64_t sampling);

}  // namespace groma::ops
