#pragma once

#include <ATen/core/Tensor.h>

namespace groma {

/// Sine and cosine of each cell's normalised coordinates.
///
/// returns  [1, 2 * features, height, width] float: y features, then x features
/// source   Carion et al. 2020; reference DeformableDetrSinePositionEmbedding, nothing masked
at::Tensor sine_position_map(int64_t height, int64_t width, int64_t features);

/// Sine embedding of boxes given as logits.
///
/// box_logits  [B, Q, 4] cxcywh before the sigmoid; +inf is allowed
/// returns     [B, Q, 4 * features]
at::Tensor sine_position_boxes(const at::Tensor& box_logits, int64_t features);

}  // namespace groma
