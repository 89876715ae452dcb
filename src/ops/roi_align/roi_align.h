#pragma once

#include <ATen/core/Tensor.h>

namespace groma::ops {

/// Pools every box of a feature map into a fixed grid of averaged bilinear samples.
///
/// Differentiable once in the features; no gradient reaches the boxes. Sums are kept in float, in
/// double for double features. On a CPU the number of threads does not change the results; on a GPU
/// the gradient is summed in no fixed order.
///
/// features  [B, C, H, W], float, double, half or bfloat16; any strides, channels-last is fastest
/// boxes     [R, 5], float or double: image index, then x1, y1, x2, y2 in input pixels; x2 < x1
///           samples backwards
/// height    cells of the grid, as rows
/// width     cells of the grid, as columns
/// scale     map pixels per input pixel
/// sampling  samples a side of each cell, at least 1; one further than a pixel outside the map
///           counts zero, and so does NaN
/// returns   [R, C, height, width], dtype of `features`, channels-last in memory; empty when R is 0
/// throws    c10::Error when shapes, dtypes or devices disagree or an image index is not in [0, B)
/// source    He et al. 2017, section 3; reference mmcv roi_align (aligned, average)
at::Tensor roi_align(const at::Tensor& features, const at::Tensor& boxes, int64_t height,
                     int64_t width, double scale, int64_t sampling);

}  // namespace groma::ops
