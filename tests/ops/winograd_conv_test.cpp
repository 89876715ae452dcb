#include "ops/winograd_conv.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <cmath>
#include <vector>

#include "ops/ops_support.h"
#include "ops/quantized_linear/quantized_linear.h"
#include "support.h"

namespace groma::ops {
namespace {

using groma::testing::error_of;
using groma::testing::random;

/// What the fuse rounds see: a weight that keeps the variance and activations after a ReLU.
at::Tensor random_weight(int64_t out, int64_t in, uint64_t seed) {
  return (random({out, in, 3, 3}, seed) * std::sqrt(2.0 / (9.0 * static_cast<double>(in))))
      .to(at::kBFloat16);
}

at::Tensor random_map(at::IntArrayRef shape, uint64_t seed) {
  return at::relu(random(shape, seed)).to(at::kBFloat16);
}

at::Tensor direct(const at::Tensor& x, const at::Tensor& weight) {
  return at::conv2d(x.to(at::kDouble), weight.to(at::kDouble), {}, /*stride=*/1, /*padding=*/1);
}

double root_mean_square(const at::Tensor& x) {
  return x.to(at::kDouble).square().mean().sqrt().item<double>();
}

/// One row, odd and even sides, several maps and images, channels that are and are not whole parts,
/// more inputs than a block of rows takes at once, more tiles than a strip.
///
/// Tiles and weights are rounded before they are multiplied, each of two numbers by up to 2^-9 of
/// itself: the error measured is 0.0026 to 0.0040 of the results' size, at most 0.023 at one
/// result. A direct convolution rounds the results alone, 0.0015 to 0.0017 and at most 0.016.
TEST(WinogradConv, IsTheDirectConvolution) {
  const c10::InferenceMode no_gradients;
  for (const int64_t in : {32, 96, 544}) {
    for (const int64_t out : {32, 160}) {
      const auto weight = random_weight(out, in, 1);
      const std::vector<at::Tensor> maps = {
          random_map({1, in, 1, 5}, 2), random_map({2, in, 7, 10}, 3),
          random_map({1, in, 41, 44}, 4).contiguous(at::MemoryFormat::ChannelsLast)};
      const auto results = winograd_conv(maps, weight);
      ASSERT_EQ(results.size(), maps.size());
      for (size_t i = 0; i < maps.size(); ++i) {
        const auto expected = direct(maps[i], weight);
        EXPECT_EQ(results[i].sizes(), expected.sizes());
        EXPECT_EQ(results[i].scalar_type(), at::kBFloat16);
        EXPECT_TRUE(results[i].is_contiguous(at::MemoryFormat::ChannelsLast));
        const auto error = results[i].to(at::kDouble) - expected;
        const auto size = root_mean_square(expected);
        EXPECT_LE(root_mean_square(error), 0.005 * size) << in << " to " << out << ", map " << i;
        EXPECT_LE(error.abs().max().item<double>(), 0.03 * size);
      }
    }
  }
}

/// Whole numbers of few bits survive every transform, so nothing is rounded at all.
TEST(WinogradConv, IsExactWhereNothingIsRounded) {
  const c10::InferenceMode no_gradients;
  at::manual_seed(1);
  const auto weight = (at::randint(-1, 2, {64, 32, 3, 3}) * 4).to(at::kBFloat16);
  const auto x = at::randint(0, 2, {1, 32, 9, 6}).to(at::kBFloat16);
  EXPECT_TRUE(winograd_conv({x}, weight)[0].equal(direct(x, weight).to(at::kBFloat16)));
}

/// A tile computes nothing only where all its 4x4 cells are zeros: a single number anywhere reaches
/// the nine results around it, and the rest are zeros.
TEST(WinogradConv, SkipsZerosAlone) {
  const c10::InferenceMode no_gradients;
  at::manual_seed(1);
  const auto weight = (at::randint(1, 3, {32, 32, 3, 3}) * 4).to(at::kBFloat16);
  for (int64_t row = 0; row < 7; ++row) {
    for (int64_t column = 0; column < 9; ++column) {
      auto x = at::zeros({2, 32, 7, 9}, at::kBFloat16);
      x[1][31][row][column] = 1;
      EXPECT_TRUE(winograd_conv({x}, weight)[0].equal(direct(x, weight).to(at::kBFloat16)))
          << row << ", " << column;
    }
  }
  const auto none = at::zeros({1, 32, 4, 4}, at::kBFloat16);
  EXPECT_TRUE(winograd_conv({none}, weight)[0].equal(none));
}

TEST(WinogradConv, IsTheSameOnAnyNumberOfThreads) {
  const c10::InferenceMode no_gradients;
  const auto weight = random_weight(160, 64, 1);
  const auto x = random_map({2, 64, 33, 30}, 2);
  at::Tensor one;
  {
    const groma::testing::Threads threads(1);
    one = winograd_conv({x}, weight)[0];
  }
  const groma::testing::Threads threads(4);
  EXPECT_TRUE(winograd_conv({x}, weight)[0].equal(one));
}

TEST(WinogradConv, NoMapsAndEmptyMapsGiveAsMuch) {
  const c10::InferenceMode no_gradients;
  const auto weight = random_weight(32, 64, 1);
  EXPECT_TRUE(winograd_conv({}, weight).empty());
  EXPECT_EQ(winograd_conv({random_map({0, 64, 4, 4}, 1)}, weight)[0].sizes(),
            at::IntArrayRef({0, 32, 4, 4}));
}

TEST(WinogradConv, TakesWhatIsLargeEnoughAndNeedsNoGradients) {
  const auto weight = at::zeros({512, 512, 3, 3}, at::kBFloat16);
  const auto x = at::zeros({1, 512, 64, 64}, at::kBFloat16);
  EXPECT_FALSE(takes_winograd({x}, weight));
  const c10::InferenceMode no_gradients;
  EXPECT_EQ(takes_winograd({x}, weight), multiplies_bfloat16());
  EXPECT_FALSE(takes_winograd({x.narrow(2, 0, 63)}, weight));
  EXPECT_FALSE(takes_winograd({x}, weight.narrow(0, 0, 256)));
  EXPECT_FALSE(takes_winograd({x.to(at::kFloat)}, weight));
  EXPECT_FALSE(takes_winograd({x}, weight.to(at::kFloat)));
}

TEST(WinogradConv, RefusesWhatDoesNotFit) {
  const auto weight = random_weight(32, 64, 1);
  EXPECT_NE(error_of([&] {
              winograd_conv({random_map({1, 32, 4, 4}, 1)}, weight);
            }).find("a map is BFloat16 [1, 32, 4, 4], expected BFloat16 [B, 64, H, W]"),
            std::string::npos);
  EXPECT_NE(error_of([&] {
              winograd_conv({}, random_weight(33, 64, 1));
            }).find("the weight is BFloat16 [33, 64, 3, 3], expected contiguous BFloat16"),
            std::string::npos);
}

}  // namespace
}  // namespace groma::ops
