#pragma once

#include <ATen/core/Tensor.h>

namespace groma::ops {

/// Whether `attention` takes such queries here and is the fastest: bfloat16 on the CPU, on a
/// processor that multiplies pairs of them (AVX-512 BF16), and no gradients asked for.
bool takes_attention(const at::Tensor& q);

/// softmax(q k / sqrt(width)) v on the CPU. Scores, their softmax and all sums are floats; weights
/// are rounded to bfloat16 before they meet the values and divided by their sum after that.
///
/// Keys and values are packed once a head. A thread then takes some queries of a head at a time;
/// their scores with all keys stay in the second cache, so none is worked out twice.
///
/// q             [B, heads, T, width] bfloat16
/// keys, values  [B, kv_heads, S, width] bfloat16; neighbouring query heads share one
/// causal        query t sees positions up to S - T + t alone
/// returns       [B, T, heads * width] bfloat16
/// throws        c10::Error when shapes or dtypes disagree, or causal with T > S
at::Tensor attention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                     bool causal);

}  // namespace groma::ops
