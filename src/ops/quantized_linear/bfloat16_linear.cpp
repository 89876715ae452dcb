#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "ops/quantized_linear/kernels.h"
#include "ops/quantized_linear/quantized_linear.h"
#include "ops/thread_pool.h"

namespace groma::ops {
namespace {

using namespace quantized;

// A piece of a weight is packed, 128 KiB for the second cache, and meets up to 576 rows, whose sums
// take 288 KiB there; a block of rows stays in the first cache while it meets the piece's panels.
constexpr int64_t kInputsAtOnce = 512, kPanelsAtOnce = 4, kRowsAtOnce = 48 * kBlockRows;

/// Rows of bfloat16 numbers as the inner loops like them: even, padded with zeros, and apart.
struct Rows {
  explicit Rows(const at::Tensor& x)
      : count(x.size(0)), inputs(x.size(1)), stride(row_distance(inputs)) {
    copy = at::empty({count, stride}, x.options());
    const auto* from = static_cast<const uint16_t*>(x.const_data_ptr());
    auto* to = static_cast<uint16_t*>(copy.mutable_data_ptr());
    for_each_chunk((count + kBlockRows - 1) / kBlockRows, at::get_num_threads(), [&](int64_t b) {
      for (auto r = b * kBlockRows; r < std::min(count, (b + 1) * kBlockRows); ++r) {
        std::copy_n(from + r * inputs, inputs, to + r * stride);
        std::fill(to + r * stride + inputs, to + (r + 1) * stride, uint16_t{0});
      }
    });
  }
  const uint16_t* at(int64_t row) const {
    return static_cast<const uint16_t*>(copy.const_data_ptr()) + row * stride;
  }

  int64_t count, inputs, stride;
  at::Tensor copy;
};

/// Brings a piece of a matrix into the second cache, some lines at every step, while there is work.
class Fetcher {
 public:
  Fetcher(const uint16_t* from, int64_t stride, int64_t rows, int64_t columns, int64_t steps)
      : row_(from),
        stride_(stride),
        columns_(columns),
        left_(columns > 0 ? rows : 0),
        lines_apiece_(rows * ((columns + kLine - 1) / kLine) / steps + 1) {}

  void step() {
    for (int64_t i = 0; i < lines_apiece_ && left_ > 0; ++i) {
      __builtin_prefetch(row_ + column_, /*write=*/0, /*locality=*/2);
      column_ += kLine;
      if (column_ < columns_) continue;
      column_ = 0;
      row_ += stride_;
      --left_;
    }
  }

 private:
  static constexpr int64_t kLine = 32;  // numbers

  const uint16_t* row_;
  int64_t stride_, columns_, left_, lines_apiece_, column_ = 0;
};

/// Rows and channels of a result that one call works out.
struct Part {
  int64_t first_row, last_row, first_channel, last_channel;
};

void multiply_part(const Rows& x, const Linear& layer, const Part& part, const at::Tensor& y) {
  const auto& kernels = fastest_kernels();
  constexpr int64_t kChannels = kPanelsAtOnce * kPairPanel;
  constexpr int64_t kPanelWords = kInputsAtOnce / 2 * kPairPanel;
  thread_local std::vector<uint32_t> panels(kPanelsAtOnce * kPanelWords);
  thread_local std::vector<float> sums(kRowsAtOnce * kChannels);
  const auto channels = part.last_channel - part.first_channel;
  const auto columns = [&](int64_t c) {
    return static_cast<int>(std::min<int64_t>(kPairPanel, channels - c));
  };
  const auto blocks = (part.last_row - part.first_row + kBlockRows - 1) / kBlockRows;
  const auto rows = [&](int64_t row) {
    return static_cast<int>(std::min<int64_t>(kBlockRows, part.last_row - row));
  };
  const auto* weights =
      static_cast<const uint16_t*>(layer.weight.const_data_ptr()) + part.first_channel * x.inputs;
  for (int64_t from = 0; from < x.inputs; from += kInputsAtOnce) {
    const auto inputs = std::min(kInputsAtOnce, x.inputs - from);
    for (int64_t c = 0; c < channels; c += kPairPanel) {
      kernels.pack_rows(weights + c * x.inputs + from, x.inputs, columns(c), inputs,
                        panels.data() + c / kPairPanel * kPanelWords);
    }
    const auto next = std::min(kInputsAtOnce, x.inputs - from - inputs);
    Fetcher fetcher(weights + from + inputs, x.inputs, channels, next, blocks);
    for (auto row = part.first_row; row < part.last_row; row += kBlockRows) {
      fetcher.step();
      for (int64_t c = 0; c < channels; c += kPairPanel) {
        kernels.pair_panel(x.at(row) + from, x.stride, rows(row), (inputs + 1) / 2 * 2,
                           panels.data() + c / kPairPanel * kPanelWords, from > 0,
                           sums.data() + (row - part.first_row) * kChannels + c, kChannels);
      }
    }
  }
  for (int64_t c = 0; c < channels; c += kPairPanel) {
    const auto channel = part.first_channel + c;
    float bias[kPairPanel] = {};
    if (layer.bias.defined()) {
      std::copy_n(layer.bias.const_data_ptr<at::BFloat16>() + channel, columns(c), bias);
    }
    auto* to = y.mutable_data_ptr<at::BFloat16>() + part.first_row * y.size(1) + channel;
    kernels.store_sums(sums.data() + c, kChannels, static_cast<int>(part.last_row - part.first_row),
                       bias, {to, y.size(1), columns(c), /*bfloat16=*/true});
  }
}

}  // namespace

bool multiplies_bfloat16() {
  static const bool fast = multiplies_pairs();
  return fast;
}

std::vector<at::Tensor> bfloat16_linear(const at::Tensor& x, const std::vector<Linear>& layers) {
  TORCH_CHECK(x.dim() == 2 && x.scalar_type() == at::kBFloat16 && x.is_cpu(),
              "bfloat16_linear: x is ", x.scalar_type(), " ", x.sizes(),
              ", expected BFloat16 [M, in]");
  const auto threads = at::get_num_threads();
  const auto row_parts = (x.size(0) + kRowsAtOnce - 1) / kRowsAtOnce;
  int64_t panels = 0;
  for (const auto& layer : layers) panels += (layer.weight.size(0) + kPairPanel - 1) / kPairPanel;
  // Several panels at once read the rows less often, but leave enough parts for all threads.
  constexpr int64_t kPartsApiece = 8;
  const auto together =
      std::clamp<int64_t>(panels * row_parts / (threads * kPartsApiece), 1, kPanelsAtOnce);
  std::vector<at::Tensor> results;
  std::vector<std::pair<size_t, Part>> work;
  for (const auto& layer : layers) {
    const auto& weight = layer.weight;
    TORCH_CHECK(weight.dim() == 2 && weight.size(1) == x.size(1) && weight.is_contiguous() &&
                    weight.scalar_type() == at::kBFloat16 && weight.is_cpu(),
                "bfloat16_linear: a weight is ", weight.scalar_type(), " ", weight.sizes(),
                ", expected contiguous BFloat16 [out, ", x.size(1), "]");
    const auto& bias = layer.bias;
    TORCH_CHECK(!bias.defined() || (bias.scalar_type() == at::kBFloat16 && bias.is_contiguous() &&
                                    bias.numel() == weight.size(0)),
                "bfloat16_linear: a bias is ", bias.scalar_type(), " ", bias.sizes(),
                ", expected BFloat16 [", weight.size(0), "]");
    const auto out = weight.size(0), wide = together * kPairPanel;
    for (int64_t channel = 0; channel < out; channel += wide) {
      for (int64_t part = 0; part < row_parts; ++part) {
        work.push_back({results.size(),
                        {x.size(0) * part / row_parts, x.size(0) * (part + 1) / row_parts, channel,
                         std::min(out, channel + wide)}});
      }
    }
    results.push_back(at::empty({x.size(0), out}, x.options()));
  }
  const Rows rows(x.contiguous());
  for_each_chunk(static_cast<int64_t>(work.size()), threads, [&](int64_t i) {
    const auto& [layer, part] = work[static_cast<size_t>(i)];
    multiply_part(rows, layers[layer], part, results[layer]);
  });
  return results;
}

}  // namespace groma::ops
