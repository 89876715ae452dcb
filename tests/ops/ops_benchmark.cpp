#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <benchmark/benchmark.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <limits>
#include <vector>

#include "ops/ms_deform_attn/ms_deform_attn.h"
#include "ops/quantized_linear/quantized_linear.h"
#include "ops/roi_align/roi_align.h"

/// Times each op beside the same result put together from ATen's grid_sampler. Both run in turn
/// within one iteration, so that other load on the machine strikes both: read the ratio. ATen
/// samples in float, since its coordinates have the type of the map.

namespace groma {
namespace {

using Operation = std::function<at::Tensor()>;

double seconds_of(const Operation& operation) {
  const auto start = std::chrono::steady_clock::now();
  benchmark::DoNotOptimize(operation());
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Reports the best time of each in milliseconds, and ATen's over ours.
void compare(benchmark::State& state, const Operation& ours, const Operation& aten) {
  const c10::InferenceMode guard;
  const double difference = (ours() - aten()).abs().max().item<double>();
  double our_best = std::numeric_limits<double>::infinity();
  double aten_best = our_best;
  for (auto _ : state) {
    const double seconds = seconds_of(ours);
    state.SetIterationTime(seconds);
    our_best = std::min(our_best, seconds);
    aten_best = std::min(aten_best, seconds_of(aten));
  }
  state.counters["ours_ms"] = our_best * 1e3;
  state.counters["aten_ms"] = aten_best * 1e3;
  state.counters["ratio"] = aten_best / our_best;
  state.counters["difference"] = difference;
  state.counters["threads"] = at::get_num_threads();
}

at::Tensor aten_ms_deform_attn(const at::Tensor& value,
                               const std::vector<std::array<int64_t, 2>>& shapes,
                               const at::Tensor& locations, const at::Tensor& weights) {
  const int64_t batch = value.size(0), heads = value.size(2), channels = value.size(3);
  const int64_t queries = locations.size(1), points = locations.size(4);
  const at::Tensor grids = 2 * locations - 1;
  std::vector<at::Tensor> sampled;
  int64_t start = 0;
  for (size_t level = 0; level < shapes.size(); ++level) {
    const auto [height, width] = shapes[level];
    const at::Tensor map = value.slice(1, start, start + height * width)
                               .to(locations.scalar_type())
                               .permute({0, 2, 3, 1})
                               .reshape({batch * heads, channels, height, width});
    const at::Tensor grid = grids.select(3, static_cast<int64_t>(level))
                                .transpose(1, 2)
                                .reshape({batch * heads, queries, points, 2});
    sampled.push_back(at::grid_sampler(map, grid, /*bilinear*/ 0, /*zeros*/ 0, false));
    start += height * width;
  }
  const at::Tensor shares = weights.transpose(1, 2).reshape({batch * heads, 1, queries, -1});
  return (at::cat(sampled, 3) * shares)  // [B * heads, C, Q, L * P]
      .sum(-1)
      .reshape({batch, heads * channels, queries})
      .transpose(1, 2)
      .to(value.scalar_type());
}

/// For boxes of the first image.
at::Tensor aten_roi_align(const at::Tensor& features, const at::Tensor& boxes, int64_t size,
                          double scale, int64_t sampling) {
  const int64_t side = size * sampling;
  const at::Tensor steps = (at::arange(side, boxes.options()) + 0.5) / side;
  const at::Tensor low = boxes.slice(1, 1, 3) * scale - 0.5;
  const at::Tensor extent = boxes.slice(1, 3, 5) * scale - 0.5 - low;
  const at::Tensor places = low.unsqueeze(1) + extent.unsqueeze(1) * steps.reshape({1, -1, 1});
  const at::Tensor x = places.select(2, 0).unsqueeze(1).expand({-1, side, -1});
  const at::Tensor y = places.select(2, 1).unsqueeze(2).expand({-1, -1, side});
  const int64_t height = features.size(2), width = features.size(3);
  const at::Tensor inside = x.ge(-1) & x.le(width) & y.ge(-1) & y.le(height);
  const at::Tensor grid =
      at::stack({2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1}, 3).reshape({1, -1, side, 2});
  const at::Tensor sampled =
      at::grid_sampler(features.to(grid.scalar_type()), grid, /*bilinear*/ 0, /*border*/ 1, true);
  return at::avg_pool2d(sampled * inside.reshape({1, 1, -1, side}), sampling)
      .reshape({-1, boxes.size(0), size, size})
      .transpose(0, 1)
      .to(features.scalar_type());
}

/// The detector's attention: one map of 32x32, eight heads of 32 channels, four points.
void ms_deform_attn(benchmark::State& state, at::ScalarType type) {
  at::manual_seed(1);
  const int64_t queries = state.range(0);
  const std::vector<std::array<int64_t, 2>> shapes{{32, 32}};
  const at::Tensor value = at::randn({1, 1024, 8, 32}).to(type);
  const at::Tensor locations = at::rand({1, queries, 8, 1, 4, 2}) * 1.2 - 0.1;
  const at::Tensor weights = at::rand({1, queries, 8, 1, 4});
  compare(
      state, [&] { return ops::ms_deform_attn(value, shapes, locations, weights); },
      [&] { return aten_ms_deform_attn(value, shapes, locations, weights); });
}

/// The region encoder's pooling of one level: 100 boxes, centres and sizes given as corners.
void roi_align(benchmark::State& state, at::ScalarType type) {
  at::manual_seed(1);
  const int64_t side = state.range(0);
  const double scale = side / 16.0 / 14;
  const at::Tensor features =
      at::randn({1, 1024, side, side}).to(type).contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor boxes =
      at::cat({at::zeros({100, 1}), at::rand({100, 2}) * 448, at::rand({100, 2}) * 180 + 4}, 1);
  compare(
      state, [&] { return ops::roi_align(features, boxes, 14, 14, scale, 2); },
      [&] { return aten_roi_align(features, boxes, 14, scale, 2); });
}

/// How a linear layer keeps its weights in `linear`.
enum class Weights { kBFloat16, kInt8, kInt4 };

/// A layer of the 7B decoder, [11008, 4096], beside ATen's bfloat16 product. Thin products read
/// other weights every time, more than a cache holds; gb_per_s is what ours reads.
void linear(benchmark::State& state, Weights kind) {
  at::manual_seed(1);
  constexpr int64_t kOut = 11008, kIn = 4096, kCopies = 6;
  const at::Tensor x = at::randn({state.range(0), kIn}).to(at::kBFloat16);
  std::vector<at::Tensor> matrices;
  std::vector<ops::PackedWeight> packed;
  const auto type = kind == Weights::kInt8 ? ops::WeightType::kInt8 : ops::WeightType::kInt4;
  const at::Tensor weight = at::randn({kOut, kIn}) * 0.02;
  for (int64_t i = 0; i < kCopies; ++i) {
    matrices.push_back(weight.to(at::kBFloat16));
    if (kind == Weights::kBFloat16) continue;
    packed.push_back(i == 0 ? ops::pack(weight, type) : packed[0]);
    packed.back().data = packed[0].data.clone();
  }
  size_t next = 0;
  compare(
      state,
      [&] {
        const size_t i = next++ % kCopies;
        return kind == Weights::kBFloat16 ? ops::thin_linear(x, {matrices[i]})[0]
                                          : ops::quantized_linear(x, {&packed[i]})[0];
      },
      [&] { return at::linear(x, matrices[next++ % kCopies]); });
  const auto bytes = kind == Weights::kBFloat16 ? matrices[0].nbytes() : packed[0].data.nbytes();
  const double seconds = state.counters["ours_ms"] * 1e-3;
  state.counters["gb_per_s"] = static_cast<double>(bytes) / seconds * 1e-9;
  state.counters["gflops"] = 2e-9 * static_cast<double>(state.range(0) * kOut * kIn) / seconds;
}

BENCHMARK_CAPTURE(linear, bfloat16, Weights::kBFloat16)
    ->Arg(1)
    ->Arg(8)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(linear, int8, Weights::kInt8)
    ->Arg(1)
    ->Arg(8)
    ->Arg(512)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(linear, int4, Weights::kInt4)
    ->Arg(1)
    ->Arg(8)
    ->Arg(512)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(ms_deform_attn, float, at::kFloat)
    ->Arg(300)
    ->Arg(1024)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(ms_deform_attn, bfloat16, at::kBFloat16)
    ->Arg(1024)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(roi_align, float, at::kFloat)
    ->Arg(128)
    ->Arg(64)
    ->Arg(32)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(roi_align, bfloat16, at::kBFloat16)
    ->Arg(128)
    ->Arg(64)
    ->Arg(32)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace groma

BENCHMARK_MAIN();
