#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include "ops/ops_support.h"
#include "ops/quantized_linear/quantized_linear.h"
#include "support.h"

namespace groma::ops {
namespace {

using groma::testing::error_of;
using groma::testing::largest_difference;
using groma::testing::largest_magnitude;
using groma::testing::random_bfloat16;

at::Tensor expected_of(const at::Tensor& x, const Linear& layer) {
  const auto bias = layer.bias.defined() ? layer.bias.to(at::kDouble) : at::Tensor();
  return at::linear(x.to(at::kDouble), layer.weight.to(at::kDouble), bias);
}

/// Sizes that are and are not whole blocks, panels and pieces, several of each, odd inputs. The
/// sums are floats, so what is left is the result's rounding to bfloat16, 2^-9.
TEST(Bfloat16Linear, IsTheGeneralProduct) {
  const c10::InferenceMode no_gradients;
  for (const int64_t rows : {1, 9, 12, 40, 1200}) {
    for (const int64_t inputs : {1, 31, 64, 1100}) {
      const auto x = random_bfloat16({rows, inputs}, 1);
      const std::vector<Linear> layers = {
          {random_bfloat16({7, inputs}, 2), {}},
          {random_bfloat16({32, inputs}, 3), random_bfloat16({32}, 4)},
          {random_bfloat16({1030, inputs}, 5), random_bfloat16({1030}, 6)}};
      const auto results = bfloat16_linear(x, layers);
      for (size_t i = 0; i < layers.size(); ++i) {
        const auto expected = expected_of(x, layers[i]);
        EXPECT_EQ(results[i].sizes(), expected.sizes());
        EXPECT_EQ(results[i].scalar_type(), at::kBFloat16);
        EXPECT_LE(largest_difference(results[i], expected), 0.004 * largest_magnitude(expected))
            << rows << " x " << inputs << ", layer " << i;
      }
    }
  }
}

TEST(Bfloat16Linear, IsTheSameOnAnyNumberOfThreadsAndForRowsWithGaps) {
  const c10::InferenceMode no_gradients;
  const auto wide = random_bfloat16({50, 200}, 7);
  const Linear layer = {random_bfloat16({300, 100}, 8), random_bfloat16({300}, 9)};
  const auto x = wide.narrow(1, 30, 100);
  at::Tensor one;
  {
    const groma::testing::Threads threads(1);
    one = bfloat16_linear(x, {layer})[0];
  }
  const groma::testing::Threads threads(4);
  EXPECT_TRUE(bfloat16_linear(x.contiguous(), {layer})[0].equal(one));
}

TEST(Bfloat16Linear, NoRowsGiveNone) {
  const c10::InferenceMode no_gradients;
  EXPECT_EQ(
      bfloat16_linear(random_bfloat16({0, 8}, 1), {{random_bfloat16({4, 8}, 2), {}}})[0].sizes(),
      at::IntArrayRef({0, 4}));
}

TEST(Bfloat16Linear, RefusesWhatDoesNotFit) {
  const auto x = random_bfloat16({3, 8}, 1);
  EXPECT_NE(error_of([&] {
              bfloat16_linear(x, {{random_bfloat16({4, 9}, 2), {}}});
            }).find("a weight is BFloat16 [4, 9], expected contiguous BFloat16 [out, 8]"),
            std::string::npos);
  EXPECT_NE(error_of([&] { bfloat16_linear(x.to(at::kFloat), {}); }).find("x is Float [3, 8]"),
            std::string::npos);
  EXPECT_NE(error_of([&] {
              bfloat16_linear(x, {{random_bfloat16({4, 8}, 2), at::zeros({4})}});
            }).find("a bias is Float [4], expected BFloat16 [4]"),
            std::string::npos);
}

}  // namespace
}  // namespace groma::ops
