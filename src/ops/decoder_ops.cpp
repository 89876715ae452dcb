#include "ops/decoder_ops.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/quantized_linear/kernels.h"
#include "ops/quantized_linear/quantized_linear.h"
#include "ops/thread_pool.h"

namespace groma::ops {
namespace {

constexpr int64_t kRowsApiece = 8;  // of a chunk

template <typename Work>
void for_rows(int64_t rows, const Work& work) {
  for_each_chunk((rows + kRowsApiece - 1) / kRowsApiece, at::get_num_threads(), [&](int64_t chunk) {
    const auto first = chunk * kRowsApiece;
    for (auto row = first; row < std::min(first + kRowsApiece, rows); ++row) work(row);
  });
}

template <typename In, typename Out>
void norm_row(const In* x, const Out* weight, int64_t width, double eps, Out* y) {
  constexpr int kSums = 16;  // apart, so that the compiler can keep them in vectors
  float sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= width; i += kSums) {
    for (int s = 0; s < kSums; ++s) {
      const auto value = static_cast<float>(x[i + s]);
      sums[s] += value * value;
    }
  }
  float sum = 0;
  for (; i < width; ++i) sum += static_cast<float>(x[i]) * static_cast<float>(x[i]);
  for (const float s : sums) sum += s;
  const float scale = 1 / std::sqrt(sum / static_cast<float>(width) + static_cast<float>(eps));
  for (int64_t c = 0; c < width; ++c) {
    const auto scaled = static_cast<Out>(static_cast<float>(x[c]) * scale);
    y[c] = static_cast<Out>(static_cast<float>(weight[c]) * static_cast<float>(scaled));
  }
}

template <typename T>
void rotate_row(const T* x, const float* cos, const float* sin, int64_t half, T* y) {
  for (int64_t i = 0; i < half; ++i) {
    const auto first = static_cast<float>(x[i]), second = static_cast<float>(x[half + i]);
    y[i] = static_cast<T>(first * cos[i] - second * sin[i]);
    y[half + i] = static_cast<T>(second * cos[half + i] + first * sin[half + i]);
  }
}

}  // namespace

bool takes_decoder_ops(const at::Tensor& x) {
  return x.is_cpu() && !at::GradMode::is_enabled() &&
         (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  TORCH_CHECK(
      x.dim() == 2 && x.is_contiguous() && weight.is_contiguous() && weight.numel() == x.size(1),
      "rms_norm: x is ", x.sizes(), ", weight ", weight.sizes());
  const auto width = x.size(1);
  auto y = at::empty(x.sizes(), weight.options());
  const auto run = [&](auto in, auto out) {
    using In = decltype(in);
    using Out = decltype(out);
    const auto* from = x.const_data_ptr<In>();
    const auto* scales = weight.const_data_ptr<Out>();
    auto* to = y.mutable_data_ptr<Out>();
    for_rows(x.size(0), [&](int64_t row) {
      norm_row(from + row * width, scales, width, eps, to + row * width);
    });
  };
  const bool narrow_in = x.scalar_type() == at::kBFloat16;
  const bool narrow_out = weight.scalar_type() == at::kBFloat16;
  if (narrow_in) {
    narrow_out ? run(at::BFloat16(), at::BFloat16()) : run(at::BFloat16(), 0.0f);
  } else {
    narrow_out ? run(0.0f, at::BFloat16()) : run(0.0f, 0.0f);
  }
  return y;
}

at::Tensor rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const auto rows = x.size(0), width = cos.size(1), heads = x.size(1) / width;
  TORCH_CHECK(x.dim() == 2 && x.is_contiguous() && heads * width == x.size(1) &&
                  cos.size(0) == rows && cos.sizes() == sin.sizes() && cos.is_contiguous() &&
                  sin.is_contiguous() && width % 2 == 0,
              "rotate: x is ", x.sizes(), ", cos ", cos.sizes(), ", sin ", sin.sizes());
  auto y = at::empty({heads, rows, width}, x.options());
  const auto* cos_data = cos.const_data_ptr<float>();
  const auto* sin_data = sin.const_data_ptr<float>();
  const auto run = [&](auto number) {
    using T = decltype(number);
    const auto* from = x.const_data_ptr<T>();
    auto* to = y.mutable_data_ptr<T>();
    for_rows(rows, [&](int64_t row) {
      for (int64_t h = 0; h < heads; ++h) {
        rotate_row(from + (row * heads + h) * width, cos_data + row * width, sin_data + row * width,
                   width / 2, to + (h * rows + row) * width);
      }
    });
  };
  x.scalar_type() == at::kBFloat16 ? run(at::BFloat16()) : run(0.0f);
  return y;
}

at::Tensor attend_few(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values) {
  const auto heads = q.size(0), rows = q.size(1), width = q.size(2), positions = keys.size(1);
  TORCH_CHECK(q.scalar_type() == at::kBFloat16 && keys.scalar_type() == at::kBFloat16 &&
                  values.scalar_type() == at::kBFloat16 && width % quantized::kPanel == 0 &&
                  keys.sizes() == values.sizes() && keys.stride(1) == width &&
                  values.stride(1) == width && keys.stride(2) == 1 && values.stride(2) == 1 &&
                  keys.size(2) == width && heads % keys.size(0) == 0 && positions >= rows,
              "attend_few: q is ", q.sizes(), ", keys ", keys.sizes(), ", values ", values.sizes());
  const auto queries = q.to(at::kFloat).contiguous();
  auto y = at::empty({rows, heads, width}, q.options());
  const auto* query = queries.const_data_ptr<float>();
  const auto* key = static_cast<const uint16_t*>(keys.const_data_ptr());
  const auto* value = static_cast<const uint16_t*>(values.const_data_ptr());
  auto* to = y.mutable_data_ptr<at::BFloat16>();
  const auto shared = heads / keys.size(0);  // query heads that share a key head
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(width)));
  for_each_chunk(heads * rows, at::get_num_threads(), [&](int64_t i) {
    const auto head = i / rows, row = i % rows;
    thread_local std::vector<float> scratch;
    scratch.resize(std::max(scratch.size(), static_cast<size_t>(positions + width)));
    float* out = scratch.data();
    quantized::fastest_kernels().attend(query + i * width, key + head / shared * keys.stride(0),
                                        value + head / shared * values.stride(0),
                                        positions - rows + row + 1, width, scale,
                                        scratch.data() + width, out);
    for (int64_t c = 0; c < width; ++c) {
      to[(row * heads + head) * width + c] = static_cast<at::BFloat16>(out[c]);
    }
  });
  return y.flatten(1);
}

}  // namespace groma::ops
