#include "ops/quantized_linear/packed_weight.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ops/large_pages.h"
#include "ops/quantized_linear/kernels.h"
#include "ops/quantized_linear/quantized_linear.h"

namespace groma::ops {
namespace {

using namespace quantized;

int64_t padded_inputs(int64_t in) { return (in + kGroup - 1) / kGroup * kGroup; }

/// One channel of int8 into its lane of a panel; returns its scale.
float pack_int8_channel(const float* x, int64_t padded, int lane, uint8_t* panel) {
  float most = 0;
  for (int64_t i = 0; i < padded; ++i) most = std::max(most, std::abs(x[i]));
  const float inverse = most > 0 ? 127 / most : 0;
  for (int64_t i = 0; i < padded; ++i) {
    const auto value = static_cast<int>(std::nearbyint(x[i] * inverse));
    panel[(i / kStep * kPanel + lane) * kStep + i % kStep] = static_cast<uint8_t>(value + 128);
  }
  return most / 127;
}

void pack_int4_channel(const float* x, int64_t padded, int lane, bool search, uint8_t* panel) {
  for (int64_t g = 0; g < padded / kGroup; ++g, panel += kInt4GroupBytes) {
    uint8_t nibbles[kGroup];
    const at::Half scale = fastest_kernels().round_int4(x + g * kGroup, search, nibbles);
    std::memcpy(panel + lane * sizeof(scale), &scale, sizeof(scale));
    uint8_t* bytes = panel + kPanel * sizeof(scale);
    for (int i = 0; i < kGroup / 2; ++i) {
      bytes[(i / kStep * kPanel + lane) * kStep + i % kStep] =
          static_cast<uint8_t>(nibbles[i] | nibbles[kGroup / 2 + i] << 4);
    }
  }
}

at::Tensor unpack_int8(const PackedWeight& packed) {
  const auto steps = packed.data.size(1) / (kPanel * kStep);
  const auto values = packed.data.view({-1, steps, kPanel, kStep})
                          .permute({0, 2, 1, 3})
                          .reshape({-1, steps * kStep});
  return (values.to(at::kFloat) - 128) * packed.scales.unsqueeze(1);
}

at::Tensor unpack_int4(const PackedWeight& packed) {
  const auto groups = packed.data.size(1) / kInt4GroupBytes;
  const auto all = packed.data.view({-1, groups, kInt4GroupBytes});
  const auto scales = all.narrow(2, 0, 2 * kPanel).contiguous().view(at::kHalf).to(at::kFloat);
  const auto bytes = all.narrow(2, 2 * kPanel, kInt4GroupBytes - 2 * kPanel)
                         .reshape({-1, groups, kGroup / kStep / 2, kPanel, kStep});
  const auto nibbles = at::cat({bytes.bitwise_and(15), bytes.bitwise_right_shift(4)}, 2);
  const auto values = (nibbles.to(at::kFloat) - 8) * scales.unsqueeze(2).unsqueeze(4);
  return values.permute({0, 3, 1, 2, 4}).reshape({-1, groups * kGroup});
}

}  // namespace

int64_t panel_bytes(WeightType type, int64_t in) {
  const auto padded = padded_inputs(in);
  return type == WeightType::kInt8 ? int8_panel_bytes(padded) : int4_panel_bytes(padded);
}

int64_t panel_count(int64_t out) { return (out + 2 * kPanel - 1) / (2 * kPanel) * 2; }

PackedWeight pack(const at::Tensor& weight, WeightType type, Rounding rounding) {
  TORCH_CHECK(weight.dim() == 2 && weight.is_cpu() && weight.is_floating_point(),
              "pack: weight is ", weight.toString(), " ", weight.sizes(),
              ", expected a floating matrix on the CPU");
  PackedWeight packed{type, weight.size(0), weight.size(1), {}, {}};
  const auto panels = panel_count(packed.out), bytes = panel_bytes(type, packed.in);
  packed.data = zeros_in_large_pages(panels, bytes);
  if (type == WeightType::kInt8) packed.scales = at::zeros({panels * kPanel}, at::kFloat);
  auto* data = packed.data.mutable_data_ptr<uint8_t>();
  auto* scales = packed.scales.defined() ? packed.scales.mutable_data_ptr<float>() : nullptr;
  const auto padded = padded_inputs(packed.in);
  at::parallel_for(0, panels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const auto first = p * kPanel;
      const auto channels = std::clamp<int64_t>(packed.out - first, 0, kPanel);
      auto rows = at::zeros({kPanel, padded}, at::kFloat);
      rows.narrow(0, 0, channels)
          .narrow(1, 0, packed.in)
          .copy_(weight.narrow(0, std::min(first, packed.out), channels));
      for (int lane = 0; lane < kPanel; ++lane) {
        const auto* x = rows.const_data_ptr<float>() + lane * padded;
        if (type == WeightType::kInt8) {
          scales[first + lane] = pack_int8_channel(x, padded, lane, data + p * bytes);
        } else {
          pack_int4_channel(x, padded, lane, rounding == Rounding::kSearched, data + p * bytes);
        }
      }
    }
  });
  return packed;
}

at::Tensor unpack(const PackedWeight& packed) {
  const auto all = packed.type == WeightType::kInt8 ? unpack_int8(packed) : unpack_int4(packed);
  return all.narrow(0, 0, packed.out).narrow(1, 0, packed.in).contiguous();
}

}  // namespace groma::ops
