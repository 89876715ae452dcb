#pragma once

#include <ATen/core/Tensor.h>

namespace groma::ops {

/// Keeps the best of overlapping boxes, by descending score; equal scores keep their order.
///
/// Computed in float on the host, whatever the dtype and device of the boxes.
///
/// boxes_xyxy       [M, 4], floating
/// scores           [M], floating; NaN never takes part
/// iou_threshold    a box with a strictly higher IoU to a kept one is removed
/// score_threshold  only strictly higher scores take part; 0 or less lets all of them, NaN excepted
/// max_kept         most boxes to keep
/// returns          [K] int64, indices of the kept boxes, best first, on the device of the boxes
/// throws           c10::Error when the shapes disagree
/// source           reference mmcv nms, offset 0
at::Tensor nms(const at::Tensor& boxes_xyxy, const at::Tensor& scores, double iou_threshold,
               double score_threshold, int64_t max_kept);

}  // namespace groma::ops
