#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "config.h"

namespace groma {

/// The candidates of one image and those that became regions.
struct Selection {
  at::Tensor candidate_boxes;   ///< [M, 4] cxcywh: the proposals, then the user's boxes
  at::Tensor candidate_scores;  ///< [M]
  at::Tensor kept;              ///< [K] int64, candidates by region number
  at::Tensor boxes_cxcywh;      ///< [K, 4]
  at::Tensor scores;            ///< [K]
};

/// One score of the two heads: coco^0.4 * sa1b^0.6 of their probabilities.   [..., 1] -> [...]
at::Tensor fuse_scores(const at::Tensor& coco_logits, const at::Tensor& sa1b_logits);

/// Chooses the regions of an image by non-maximum suppression.
///
/// boxes_cxcywh  [Q, 4] in [0, 1]; scores [Q]
/// user_boxes    [U, 4] cxcywh in [0, 1], may be empty: they take part with score 1
/// returns       kept by descending score, at most `max_regions`; the one best candidate when none
///               passes
/// throws        Error when boxes or scores are not finite
/// source        reference groma/model/groma.py
Selection select_regions(const at::Tensor& boxes_cxcywh, const at::Tensor& scores,
                         const at::Tensor& user_boxes, const SelectConfig& config);

/// For each of `wanted` [U, 4] the region of `regions` [K, 4] with the largest IoU (cxcywh both).
std::vector<int64_t> match_regions(const at::Tensor& wanted, const at::Tensor& regions);

}  // namespace groma
