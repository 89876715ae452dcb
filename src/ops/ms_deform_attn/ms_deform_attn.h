#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <vector>

namespace groma::ops {

/// Attends to a few bilinear samples of several feature maps (multi-scale deformable attention).
///
/// Differentiable once in all three tensors. Sums are kept in float, in double for double values.
/// On a CPU the number of threads does not change the results; on a GPU the gradients are summed in
/// no fixed order.
///
/// value               [B, N, heads, C], float, double, half or bfloat16: the maps one after the
///                     other, row by row
/// shapes              height and width of each level, at most 8; their products sum to N
/// sampling_locations  [B, Q, heads, L, P, 2], floating: x, y in [0, 1] of each map; outside
///                     counts zero, and so does NaN
/// attention_weights   [B, Q, heads, L, P], floating
/// returns             [B, Q, heads * C], dtype of `value`
/// throws              c10::Error when shapes, dtypes or devices disagree
/// source              Zhu et al. 2021, equation 3; reference grid_sample, align_corners false
at::Tensor ms_deform_attn(const at::Tensor& value,
                          const std::vector<std::array<int64_t, 2>>& shapes,
                          const at::Tensor& sampling_locations,
                          const at::Tensor& attention_weights);

}  // namespace groma::ops
