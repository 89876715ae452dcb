#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "ops/quantized_linear/packed_weight.h"

namespace groma::ops {

namespace quantized {
struct Kernels;
/// The set of inner loops that runs on this machine: AVX-512, AVX2 or plain.
const Kernels& fastest_kernels();
}  // namespace quantized

/// x W^T for several weights at once, in one loop over all of them.
///
/// Up to 8 rows read every weight once, at the speed of the memory: a row's activations become
/// signed bytes with a scale for each 32. More rows become bytes with a scale for each 128, and
/// int4 is turned into int8 block by block on its way into the multiplication.
///
/// x         [M, in] float or bfloat16
/// returns   for each weight [M, out], dtype of x
/// throws    c10::Error when shapes, dtypes or devices disagree
/// note      no gradients; on CUDA the weights are unpacked and multiplied in the dtype of x
std::vector<at::Tensor> quantized_linear(const at::Tensor& x,
                                         const std::vector<const PackedWeight*>& weights);

/// Most rows for which `thin_linear` reads memory faster than a general matrix product does.
constexpr int64_t kThinRows = 8;

/// The same for bfloat16 matrices and at most kThinRows rows, on the CPU; sums are kept in float.
///
/// x         [M, in] bfloat16
/// weights   each [out, in] bfloat16, contiguous
std::vector<at::Tensor> thin_linear(const at::Tensor& x, const std::vector<at::Tensor>& weights);

}  // namespace groma::ops
