#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace groma::ops {

/// Whether `winograd_conv` takes these here and is the fastest: bfloat16 on the CPU, on a processor
/// that multiplies pairs of them (AVX-512 BF16), at least 512 channels and 64 x 64 cells, and no
/// gradients asked for.
bool takes_winograd(const std::vector<at::Tensor>& maps, const at::Tensor& weight);

/// 3x3 convolution with padding 1 of several maps, with 16 multiplications for four results in
/// place of 36: F(2x2, 3x3); none where a tile sees nothing but zeros.
///
/// Maps are cut into 2x2 tiles. The weight is transformed and packed once a call; some hundred
/// tiles at a time are transformed, multiplied and transformed back, so that what lies between
/// stays in the caches. Transforms and sums are floats; transformed maps and weights are rounded to
/// bfloat16 on their way into the products, which a direct convolution does not do: the error is
/// 0.0026 to 0.0040 of the results' size on activations after a ReLU, there 0.0015 to 0.0017.
///
/// maps     each [B, in, H, W] bfloat16, read channels last; in a multiple of 32
/// weight   [out, in, 3, 3] bfloat16, contiguous; out a multiple of 32
/// returns  for each map [B, out, H, W] bfloat16, channels last
/// throws   c10::Error when shapes, dtypes or devices disagree
/// source   Lavin & Gray 2015 (arXiv 1509.09308), section 4.1
std::vector<at::Tensor> winograd_conv(const std::vector<at::Tensor>& maps,
                                      const at::Tensor& weight);

}  // namespace groma::ops
