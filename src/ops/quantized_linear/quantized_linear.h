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

/// A weight [out, in] as stored and, where defined, a bias [out].
struct Linear {
  at::Tensor weight, bias;
};

/// Whether `bfloat16_linear` is faster here than LibTorch's product: on a processor that multiplies
/// pairs of bfloat16 numbers (AVX-512 BF16), but not tiles of them (AMX).
bool multiplies_bfloat16();

/// x W^T + b for several bfloat16 matrices and any number of rows, on the CPU. The weights are
/// packed panel by panel on their way into the multiplication, so none is stored twice; threads
/// take panels as they come free. Sums are kept in float.
///
/// x        [M, in] bfloat16
/// layers   each with a contiguous bfloat16 weight [out, in] and, where defined, such a bias
/// returns  for each layer [M, out] bfloat16
/// throws   c10::Error when shapes, dtypes or devices disagree
std::vector<at::Tensor> bfloat16_linear(const at::Tensor& x, const std::vector<Linear>& layers);

}  // namespace groma::ops
