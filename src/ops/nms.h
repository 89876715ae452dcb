#pragma once

#include <ATen/core/Tensor.h>

namespace groma::ops {

/// Keeps the best of overlapping boxes, by descending score; equal scores keep their order.
///
/// boxes_xyxy  [M, 4] float
/// scores      [M] float; only scores strictly above `score_threshold` (compared as floats) take part
/// returns     [K] int64, indices of the kept boxes, best first, K <= max_kept
/// source      reference mmcv nms: a box with IoU strictly above `iou_threshold` to a kept one is
///             removed; offset 0
at::Tensor nms(const at::Tensor& boxes_xyxy, const at::Tensor& scores, double iou_threshold,
               double score_threshold, int64_t max_kept);

}  // namespace groma::ops
