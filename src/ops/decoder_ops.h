#pragma once

#include <ATen/core/Tensor.h>

/// What a decoder layer does between its matrix products, each in one pass over memory. Without
/// gradients, on the CPU; the layers say with plain tensor operations what these compute.
namespace groma::ops {

/// Whether the operations below take such tensors here: on the CPU, float or bfloat16, and no
/// gradients asked for.
bool takes_decoder_ops(const at::Tensor& x);

/// Rows scaled to unit mean square, rounded to the dtype of `weight`, times weight.
///
/// x         [T, H] float or bfloat16, contiguous
/// weight    [H] float or bfloat16
/// returns   [T, H], dtype of weight
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

/// Turns the two halves of every head by the angles of the row's position.
///
/// x         [T, heads * width] float or bfloat16, contiguous
/// cos, sin  [T, width] float; the second half repeats the first
/// returns   [heads, T, width], dtype of x
at::Tensor rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);

/// Causal attention of a few rows over a cache, which is read where it lies.
///
/// q             [heads, T, width] bfloat16, the last T of S positions
/// keys, values  [kv_heads, S, width] bfloat16, rows without gaps; width a multiple of 16
/// returns       [T, heads * width] bfloat16
at::Tensor attend_few(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values);

}  // namespace groma::ops
