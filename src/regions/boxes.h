#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "groma/box.h"

namespace groma {

/// [..., 4] cxcywh -> xyxy, any unit.
at::Tensor cxcywh_to_xyxy(const at::Tensor& boxes_cxcywh);

/// Intersection over union of every pair.   a [M, 4], b [K, 4], xyxy -> [M, K]; 0 for empty boxes
at::Tensor pairwise_iou(const at::Tensor& a_xyxy, const at::Tensor& b_xyxy);

/// Pixel boxes of a width x height image -> [R, 4] float cxcywh in [0, 1].
at::Tensor to_network_boxes(const std::vector<Box>& boxes, int width, int height);

/// [R, 4] cxcywh in [0, 1] -> pixels, clipped to the image.
std::vector<Box> to_pixel_boxes(const at::Tensor& boxes_cxcywh, int width, int height);

}  // namespace groma
