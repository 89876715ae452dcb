#include "ops/quantized_linear/quantized_linear.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "ops/quantized_linear/kernels.h"
#include "ops/thread_pool.h"

namespace groma::ops {
namespace quantized {

const Kernels& fastest_kernels() {
  static const Kernels* const fastest = [] {
    const Kernels* list[kMostSets];
    available_kernels(list);
    return list[0];
  }();
  return *fastest;
}

}  // namespace quantized

namespace {

using namespace quantized;

static_assert(ops::kThinRows == quantized::kThinRows);

constexpr int64_t kThickGroup = 128;   // activations that share a scale when there are many rows
constexpr int64_t kUnit = 2 * kPanel;  // output channels that one call of a kernel makes

/// Activations as bytes, in blocks of rows.
struct Activations {
  Activations(const at::Tensor& x, int64_t padded) {
    rows = x.size(0);
    const bool thin = rows <= quantized::kThinRows;
    block_rows = thin ? quantized::kThinRows : kBlockRows;
    group = thin ? kGroup : kThickGroup;
    inputs = padded;
    groups = (padded + group - 1) / group;
    values = at::empty({rows * padded}, at::kChar);
    scales = at::empty({rows * groups}, at::kFloat);
    sums = at::empty({rows * groups}, at::kInt);
    auto* value_data = values.mutable_data_ptr<int8_t>();
    auto* scale_data = scales.mutable_data_ptr<float>();
    auto* sum_data = sums.mutable_data_ptr<int32_t>();
    for_each_chunk(blocks(), at::get_num_threads(), [&](int64_t b) {
      const auto first = b * block_rows;
      const auto* from = static_cast<const char*>(x.const_data_ptr()) +
                         first * x.size(1) * static_cast<int64_t>(x.element_size());
      fastest_kernels().quantize(from, x.scalar_type() == at::kBFloat16, x.size(1), rows_of(b),
                                 x.size(1), padded, group, value_data + first * padded,
                                 scale_data + first * groups, sum_data + first * groups);
    });
  }

  int64_t blocks() const { return (rows + block_rows - 1) / block_rows; }
  int rows_of(int64_t b) const {
    return static_cast<int>(std::min(block_rows, rows - b * block_rows));
  }
  Block block(int64_t b) const {
    const auto first = b * block_rows;
    return {rows_of(b),
            inputs,
            group,
            values.const_data_ptr<int8_t>() + first * inputs,
            scales.const_data_ptr<float>() + first * groups,
            sums.const_data_ptr<int32_t>() + first * groups};
  }

  int64_t rows, block_rows, group, inputs, groups;
  at::Tensor values, scales, sums;
};

/// A result and where in it a row and channel lie.
Target target_at(const at::Tensor& y, int64_t row, int64_t channel) {
  const auto at = row * y.stride(0) + channel;
  auto* data = static_cast<char*>(y.mutable_data_ptr()) + at * y.element_size();
  const auto columns = static_cast<int>(std::min<int64_t>(kUnit, y.size(1) - channel));
  return {data, y.stride(0), columns, y.scalar_type() == at::kBFloat16};
}

void multiply_int8(const Activations& x, const uint8_t* weights, const float* scales,
                   int64_t channel, const at::Tensor& y) {
  for (int64_t b = 0; b < x.blocks(); ++b) {
    fastest_kernels().int8_panels(x.block(b), weights, scales,
                                  target_at(y, b * x.block_rows, channel));
  }
}

/// One unit of a weight's channels for all rows.
void multiply_unit(const Activations& x, const PackedWeight& weight, int64_t unit,
                   const at::Tensor& y) {
  const auto& kernels = fastest_kernels();
  const auto bytes = weight.data.size(1), channel = unit * kUnit;
  const auto* panels = weight.data.const_data_ptr<uint8_t>() + unit * 2 * bytes;
  if (weight.type == WeightType::kInt8) {
    return multiply_int8(x, panels, weight.scales.const_data_ptr<float>() + channel, channel, y);
  }
  if (x.rows <= quantized::kThinRows) {
    for (int64_t p = 0; p < 2 && channel + p * kPanel < y.size(1); ++p) {
      kernels.int4_panel(x.block(0), panels + p * bytes, target_at(y, 0, channel + p * kPanel));
    }
    return;
  }
  thread_local std::vector<uint8_t> values;
  values.resize(std::max(values.size(), static_cast<size_t>(kUnit * x.inputs)));
  float scales[kUnit];
  for (int64_t p = 0; p < 2; ++p) {
    kernels.int4_to_int8(panels + p * bytes, x.inputs, values.data() + p * kPanel * x.inputs,
                         scales + p * kPanel);
  }
  multiply_int8(x, values.data(), scales, channel, y);
}

/// Runs work(weight, unit) for all units of `channels[weight]` output channels in one loop.
///
/// unit_bytes  of weights, 0 when they are not what takes the time. A thread then takes enough
///             neighbouring units at once for the memory to deliver one long sweep.
template <typename Work>
void for_each_unit(const std::vector<int64_t>& channels, int64_t unit_bytes, const Work& work) {
  constexpr int64_t kSweep = int64_t{256} << 10;
  const auto together = unit_bytes > 0 ? std::max<int64_t>(1, kSweep / unit_bytes) : 1;
  std::vector<int64_t> ends;
  int64_t total = 0;
  for (const auto count : channels) ends.push_back(total += (count + kUnit - 1) / kUnit);
  for_each_chunk((total + together - 1) / together, at::get_num_threads(), [&](int64_t chunk) {
    const auto first = chunk * together;
    for (auto i = first; i < std::min(first + together, total); ++i) {
      const auto w =
          static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), i) - ends.begin());
      work(w, w == 0 ? i : i - ends[w - 1]);
    }
  });
}

}  // namespace

std::vector<at::Tensor> quantized_linear(const at::Tensor& x,
                                         const std::vector<const PackedWeight*>& weights) {
  TORCH_CHECK(x.dim() == 2, "quantized_linear: x is ", x.sizes(), ", expected [M, in]");
  std::vector<at::Tensor> results;
  std::vector<int64_t> channels;
  for (const auto* weight : weights) {
    TORCH_CHECK(x.size(1) == weight->in && x.device() == weight->data.device(),
                "quantized_linear: x is ", x.sizes(), " on ", x.device(), ", a weight takes ",
                weight->in, " inputs on ", weight->data.device());
    if (!x.is_cpu()) {
      results.push_back(at::linear(x, unpack(*weight).to(x.scalar_type())));
    } else {
      results.push_back(at::empty({x.size(0), weight->out}, x.options()));
      channels.push_back(weight->out);
    }
  }
  if (!x.is_cpu() || x.size(0) == 0 || weights.empty()) return results;
  TORCH_CHECK(x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16,
              "quantized_linear: x is ", x.scalar_type(), ", expected Float or BFloat16");
  const auto padded = (x.size(1) + kGroup - 1) / kGroup * kGroup;
  const Activations activations(x.contiguous(), padded);
  const bool thin = x.size(0) <= quantized::kThinRows;
  for_each_unit(channels, thin ? 2 * weights[0]->data.size(1) : 0, [&](size_t w, int64_t unit) {
    multiply_unit(activations, *weights[w], unit, results[w]);
  });
  return results;
}

std::vector<at::Tensor> thin_linear(const at::Tensor& x, const std::vector<at::Tensor>& weights) {
  TORCH_CHECK(x.dim() == 2 && x.size(0) <= ops::kThinRows && x.scalar_type() == at::kBFloat16,
              "thin_linear: x is ", x.scalar_type(), " ", x.sizes(),
              ", expected BFloat16 [M, in] of ", "at most ", ops::kThinRows, " rows");
  const auto rows = x.to(at::kFloat).contiguous();
  std::vector<at::Tensor> results;
  std::vector<int64_t> channels;
  for (const auto& weight : weights) {
    TORCH_CHECK(weight.dim() == 2 && weight.size(1) == x.size(1) && weight.is_contiguous() &&
                    weight.scalar_type() == at::kBFloat16 && weight.is_cpu(),
                "thin_linear: a weight is ", weight.scalar_type(), " ", weight.sizes(),
                ", expected contiguous BFloat16 [out, ", x.size(1), "]");
    channels.push_back(weight.size(0));
    results.push_back(at::empty({x.size(0), weight.size(0)}, x.options()));
  }
  if (x.size(0) == 0) return results;
  constexpr int64_t kBytes = 2;  // of a number
  for_each_unit(channels, kUnit * x.size(1) * kBytes, [&](size_t w, int64_t unit) {
    const auto first = unit * kUnit;
    const auto count = std::min(kUnit, channels[w] - first);
    const auto* matrix = static_cast<const uint16_t*>(weights[w].const_data_ptr());
    fastest_kernels().bfloat16_rows(rows.const_data_ptr<float>(), static_cast<int>(x.size(0)),
                                    x.size(1), matrix + first * x.size(1), static_cast<int>(count),
                                    target_at(results[w], 0, first));
  });
  return results;
}

}  // namespace groma::ops
