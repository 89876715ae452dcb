#include "ops/attention.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/quantized_linear/kernels.h"
#include "ops/quantized_linear/quantized_linear.h"
#include "ops/thread_pool.h"

namespace groma::ops {
namespace {

using namespace quantized;

constexpr int64_t kQueriesAtOnce = 2 * kBlockRows;

int64_t whole_panels(int64_t count) { return (count + kPairPanel - 1) / kPairPanel * kPairPanel; }

const uint16_t* numbers(const at::Tensor& x) {
  return static_cast<const uint16_t*>(x.const_data_ptr());
}

/// A head's keys and values as panels.
struct PackedHeads {
  PackedHeads(const at::Tensor& keys, const at::Tensor& values)
      : heads(keys.size(1)), positions(keys.size(2)), width(keys.size(3)) {
    key_words = whole_panels(positions) * (width / 2);
    value_words = whole_panels(positions) / 2 * whole_panels(width);
    words = at::empty({keys.size(0) * heads * (key_words + value_words)}, at::kInt);
    for_each_chunk(keys.size(0) * heads, at::get_num_threads(), [&](int64_t i) {
      const auto b = i / heads, h = i % heads;
      pack(numbers(keys) + b * keys.stride(0) + h * keys.stride(1), keys.stride(2),
           numbers(values) + b * values.stride(0) + h * values.stride(1), values.stride(2), i);
    });
  }

  const uint32_t* key_panel(int64_t i, int64_t position) const {
    return at(i) + position * (width / 2);
  }
  const uint32_t* value_panel(int64_t i, int64_t channel) const {
    return at(i) + key_words + whole_panels(positions) / 2 * channel;
  }

  int64_t heads, positions, width, key_words, value_words;
  at::Tensor words;

 private:
  uint32_t* at(int64_t i) const {
    return static_cast<uint32_t*>(words.mutable_data_ptr()) + i * (key_words + value_words);
  }
  void pack(const uint16_t* keys, int64_t key_stride, const uint16_t* values, int64_t value_stride,
            int64_t i) {
    const auto& kernels = fastest_kernels();
    auto* to = at(i);
    for (int64_t p = 0; p < positions; p += kPairPanel, to += kPairPanel * (width / 2)) {
      kernels.pack_rows(keys + p * key_stride, key_stride,
                        static_cast<int>(std::min<int64_t>(kPairPanel, positions - p)), width, to);
    }
    // Positions that pad the last pair and panel meet weights of zero, but must be numbers.
    const auto panel_words = whole_panels(positions) / 2 * kPairPanel;
    for (int64_t c = 0; c < width; c += kPairPanel, to += panel_words) {
      kernels.pack_columns(values + c, value_stride,
                           static_cast<int>(std::min<int64_t>(kPairPanel, width - c)), positions,
                           to);
      std::fill(to + (positions + 1) / 2 * kPairPanel, to + panel_words, 0U);
    }
  }
};

/// What a thread needs for some queries.
struct Scratch {
  std::vector<uint16_t> queries, weights;
  std::vector<float> scores, sums;

  void fit(int64_t query_stride, int64_t score_stride, int64_t wide) {
    const auto grow = [](auto& buffer, int64_t size) {
      if (buffer.size() < static_cast<size_t>(size)) buffer.resize(static_cast<size_t>(size));
    };
    grow(queries, kQueriesAtOnce * query_stride);
    grow(scores, kQueriesAtOnce * score_stride);
    grow(weights, kQueriesAtOnce * score_stride);
    grow(sums, kQueriesAtOnce * wide);
  }
};

/// Some queries of one head.
struct Queries {
  const uint16_t* q;
  int64_t stride;
  int rows;
  int64_t seen;  ///< positions that the last row sees
  bool causal;   ///< each row before sees one less
  at::BFloat16* to;
  int64_t to_stride;
};

void attend(const Queries& queries, const PackedHeads& packed, int64_t head, float scale) {
  thread_local Scratch scratch;
  const auto& kernels = fastest_kernels();
  const auto width = packed.width, wide = whole_panels(width);
  const auto seen = whole_panels(queries.seen), stride = row_distance(seen),
             query_stride = row_distance(width);
  scratch.fit(query_stride, stride, wide);
  for (int r = 0; r < queries.rows; ++r) {
    std::copy_n(queries.q + r * queries.stride, width, scratch.queries.data() + r * query_stride);
  }
  const auto block = [&](int first) { return std::min(kBlockRows, queries.rows - first); };
  for (int64_t p = 0; p < seen; p += kPairPanel) {
    for (int r = 0; r < queries.rows; r += kBlockRows) {
      kernels.pair_panel(scratch.queries.data() + r * query_stride, query_stride, block(r), width,
                         packed.key_panel(head, p), /*add=*/false,
                         scratch.scores.data() + r * stride + p, stride);
    }
  }
  float totals[kQueriesAtOnce];
  for (int r = 0; r < queries.rows; ++r) {
    const auto own = queries.seen - (queries.causal ? queries.rows - 1 - r : 0);
    totals[r] = kernels.soften(scratch.scores.data() + r * stride, own, seen, scale,
                               scratch.weights.data() + r * stride);
  }
  for (int64_t c = 0; c < width; c += kPairPanel) {
    for (int r = 0; r < queries.rows; r += kBlockRows) {
      kernels.pair_panel(scratch.weights.data() + r * stride, stride, block(r), seen,
                         packed.value_panel(head, c), /*add=*/false,
                         scratch.sums.data() + r * wide + c, wide);
    }
  }
  for (int r = 0; r < queries.rows; ++r) {
    const float share = 1 / totals[r];
    const float* sum = scratch.sums.data() + r * wide;
    auto* to = queries.to + r * queries.to_stride;
    for (int64_t c = 0; c < width; ++c) to[c] = static_cast<at::BFloat16>(sum[c] * share);
  }
}

}  // namespace

bool takes_attention(const at::Tensor& q) {
  constexpr int64_t kPair = 2;
  return multiplies_bfloat16() && q.is_cpu() && q.scalar_type() == at::kBFloat16 &&
         !at::GradMode::is_enabled() && q.size(-1) % kPair == 0;
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                     bool causal) {
  TORCH_CHECK(q.dim() == 4 && keys.sizes() == values.sizes() && keys.dim() == 4 &&
                  q.size(0) == keys.size(0) && keys.size(1) > 0 && keys.size(2) > 0 &&
                  q.size(1) % keys.size(1) == 0 && q.size(3) == keys.size(3) &&
                  q.size(3) % 2 == 0 && (!causal || q.size(2) <= keys.size(2)),
              "attention: q is ", q.sizes(), ", keys ", keys.sizes(), ", values ", values.sizes(),
              causal ? ", causal" : "");
  for (const auto& x : {q, keys, values}) {
    TORCH_CHECK(x.scalar_type() == at::kBFloat16 && x.is_cpu() && x.stride(3) == 1,
                "attention: takes BFloat16 on the CPU, heads without gaps; got ", x.scalar_type(),
                " on ", x.device(), ", strides ", x.strides());
  }
  const auto heads = q.size(1), rows = q.size(2), width = q.size(3), positions = keys.size(2);
  auto y = at::empty({q.size(0), rows, heads * width}, q.options());
  const PackedHeads packed(keys, values);
  const auto shared = heads / keys.size(1);
  const auto parts = (rows + kQueriesAtOnce - 1) / kQueriesAtOnce;
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(width)));
  auto* to = y.mutable_data_ptr<at::BFloat16>();
  for_each_chunk(q.size(0) * heads * parts, at::get_num_threads(), [&](int64_t i) {
    const auto first = i % parts * kQueriesAtOnce, h = i / parts % heads, b = i / parts / heads;
    const auto last = std::min(rows, first + kQueriesAtOnce);
    attend({numbers(q) + b * q.stride(0) + h * q.stride(1) + first * q.stride(2), q.stride(2),
            static_cast<int>(last - first), causal ? positions - rows + last : positions, causal,
            to + (b * rows + first) * heads * width + h * width, heads * width},
           packed, b * keys.size(1) + h / shared, scale);
  });
  return y;
}

}  // namespace groma::ops
