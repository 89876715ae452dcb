#include "ops/quantized_linear/quantized_linear.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "ops/decoder_ops.h"
#include "ops/ops_support.h"
#include "ops/quantized_linear/kernels.h"
#include "support.h"

namespace groma::ops {
namespace {

using groma::testing::largest_difference;
using groma::testing::largest_magnitude;
using groma::testing::random;
using quantized::Kernels;

double relative_error(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).to(at::kDouble).norm() / b.to(at::kDouble).norm()).item<double>();
}

/// Sizes that are and are not whole panels, groups and thick groups.
const std::vector<std::array<int64_t, 2>> kSizes = {{32, 64}, {40, 96}, {7, 33}, {130, 352}};

TEST(QuantizedLinear, PackedWeightsStandForTheOriginalToHalfAStep) {
  for (const auto& [out, in] : kSizes) {
    const auto weight = random({out, in}, 1);
    const auto int8 = unpack(pack(weight, WeightType::kInt8));
    ASSERT_EQ(int8.sizes(), weight.sizes());
    const auto step = weight.abs().amax(1, true) / 127;
    EXPECT_LE(((int8 - weight).abs() / step).max().item<float>(), 0.5f + 1e-4f);
    // Nearest int4: half a step, a whole one at the end of the range that has no -8 beside it.
    const auto int4 = unpack(pack(weight, WeightType::kInt4, Rounding::kNearest));
    ASSERT_EQ(int4.sizes(), weight.sizes());
    for (int64_t g = 0; g * 32 < in; ++g) {
      const auto count = std::min<int64_t>(32, in - g * 32);
      const auto part = weight.narrow(1, g * 32, count);
      const auto largest = part.abs().amax(1, true) / 8;
      const auto error = ((int4.narrow(1, g * 32, count) - part).abs() / largest).max();
      EXPECT_LE(error.item<float>(), 1.01f);
    }
  }
}

/// On normal numbers the search takes 6 % off the error.
TEST(QuantizedLinear, SearchedScalesHaveLessErrorThanNearest) {
  const auto weight = random({64, 256}, 2);
  const auto nearest = unpack(pack(weight, WeightType::kInt4, Rounding::kNearest));
  const auto searched = unpack(pack(weight, WeightType::kInt4, Rounding::kSearched));
  EXPECT_LT(relative_error(searched, weight), 0.96 * relative_error(nearest, weight));
}

TEST(QuantizedLinear, ZeroAndHugeWeightsArePacked) {
  auto weight = at::zeros({16, 64});
  weight[3].fill_(1e30f);
  for (const auto type : {WeightType::kInt8, WeightType::kInt4}) {
    const auto packed = pack(weight.narrow(0, 0, 3), type);
    EXPECT_EQ(unpack(packed).abs().max().item<float>(), 0);
  }
  EXPECT_NEAR(unpack(pack(weight, WeightType::kInt8))[3][5].item<float>(), 1e30f, 1e24f);
}

/// Activations are rounded to a 127th of a group's largest; over many products that is well below a
/// hundredth of the result. In bfloat16 the result's own rounding, 2^-9, is added.
TEST(QuantizedLinear, MultipliesLikeItsUnpackedWeights) {
  const c10::InferenceMode no_gradients;
  for (const auto type : {WeightType::kInt8, WeightType::kInt4}) {
    for (const auto& [out, in] : kSizes) {
      const auto packed = pack(random({out, in}, 3), type);
      for (const int64_t rows : {1, 2, 5, 8, 9, 12, 13, 40}) {
        const auto x = random({rows, in}, static_cast<uint64_t>(rows));
        const auto expected = at::linear(x, unpack(packed));
        const auto actual = quantized_linear(x, {&packed})[0];
        ASSERT_EQ(actual.sizes(), expected.sizes());
        // Thick int4 goes through int8, a hundredth of a step more.
        EXPECT_LE(relative_error(actual, expected), 0.012) << rows << " x " << in << " x " << out;
        const auto narrow = quantized_linear(x.to(at::kBFloat16), {&packed})[0];
        EXPECT_EQ(narrow.scalar_type(), at::kBFloat16);
        EXPECT_LE(relative_error(narrow.to(at::kFloat), expected), 0.016);
      }
    }
  }
}

TEST(QuantizedLinear, SeveralWeightsAtOnceAreTheSameOneByOne) {
  const c10::InferenceMode no_gradients;
  const auto a = pack(random({40, 64}, 4), WeightType::kInt4);
  const auto b = pack(random({70, 64}, 5), WeightType::kInt8);
  for (const int64_t rows : {0, 1, 20}) {
    const auto x = random({rows, 64}, 6);
    const auto both = quantized_linear(x, {&a, &b});
    EXPECT_TRUE(both[0].equal(quantized_linear(x, {&a})[0]));
    EXPECT_TRUE(both[1].equal(quantized_linear(x, {&b})[0]));
  }
}

TEST(QuantizedLinear, ThinBfloat16IsTheGeneralProduct) {
  const c10::InferenceMode no_gradients;
  for (const auto& [out, in] : kSizes) {
    const auto weight = random({out, in}, 7).to(at::kBFloat16);
    for (int64_t rows = 1; rows <= ops::kThinRows; ++rows) {
      const auto x = random({rows, in}, 8).to(at::kBFloat16);
      const auto expected = at::linear(x.to(at::kFloat), weight.to(at::kFloat));
      const auto actual = thin_linear(x, {weight})[0];
      EXPECT_LE(largest_difference(actual, expected), 0.004 * largest_magnitude(expected));
    }
  }
}

TEST(QuantizedLinear, RefusesWhatDoesNotFit) {
  const auto packed = pack(random({32, 64}, 9), WeightType::kInt8);
  EXPECT_THROW(quantized_linear(at::zeros({2, 63}), {&packed}), c10::Error);
  EXPECT_THROW(quantized_linear(at::zeros({2, 64}, at::kDouble), {&packed}), c10::Error);
  EXPECT_THROW(pack(at::zeros({4}), WeightType::kInt8), c10::Error);
  EXPECT_THROW(thin_linear(at::zeros({9, 8}, at::kBFloat16), {at::zeros({4, 8}, at::kBFloat16)}),
               c10::Error);
}

/// What one set of kernels makes of one problem, all of it.
std::vector<at::Tensor> everything(const Kernels& kernels, int rows, int64_t group) {
  constexpr int64_t kInputs = 352, kMissing = 5;
  const auto x = random({rows, kInputs}, static_cast<uint64_t>(rows));
  const auto int4 = pack(random({16, kInputs}, 11), WeightType::kInt4).data;
  const auto int8 = pack(random({32, kInputs}, 12), WeightType::kInt8);
  const auto groups = (kInputs + group - 1) / group;
  auto values = at::zeros({rows * kInputs}, at::kChar);
  auto scales = at::zeros({groups, rows}), sums = at::zeros({groups, rows}, at::kInt);
  kernels.quantize(x.const_data_ptr(), false, kInputs, rows, kInputs - kMissing, kInputs, group,
                   values.mutable_data_ptr<int8_t>(), scales.mutable_data_ptr<float>(),
                   sums.mutable_data_ptr<int32_t>());
  const quantized::Block block{rows,
                               kInputs,
                               group,
                               values.const_data_ptr<int8_t>(),
                               scales.const_data_ptr<float>(),
                               sums.const_data_ptr<int32_t>()};
  constexpr int64_t kStride = 40;
  const auto target = [&](at::Tensor& y, int columns) {
    y = at::zeros({rows, kStride});
    return quantized::Target{y.mutable_data_ptr(), kStride, columns, false};
  };
  at::Tensor y8, y4, yb;
  kernels.int8_panels(block, int8.data.const_data_ptr<uint8_t>(),
                      int8.scales.const_data_ptr<float>(), target(y8, 27));
  auto expanded = at::zeros({kInputs * 16}, at::kByte), expanded_scales = at::zeros({16});
  kernels.int4_to_int8(int4.const_data_ptr<uint8_t>(), kInputs,
                       expanded.mutable_data_ptr<uint8_t>(),
                       expanded_scales.mutable_data_ptr<float>());
  std::vector<at::Tensor> results = {values, scales, sums, y8, expanded, expanded_scales};
  if (rows <= quantized::kThinRows && group == quantized::kGroup) {
    kernels.int4_panel(block, int4.const_data_ptr<uint8_t>(), target(y4, 13));
    const auto weight = random({7, kInputs - kMissing}, 13).to(at::kBFloat16);
    const auto narrow = x.narrow(1, 0, kInputs - kMissing).contiguous();
    kernels.bfloat16_rows(narrow.const_data_ptr<float>(), rows, kInputs - kMissing,
                          static_cast<const uint16_t*>(weight.const_data_ptr()), 7, target(yb, 7));
    results.insert(results.end(), {y4, yb});
  }
  return results;
}

TEST(QuantizedKernels, EverySetComputesTheSame) {
  const Kernels* list[quantized::kMostSets];
  const int count = quantized::available_kernels(list);
  const auto& plain = *list[count - 1];
  ASSERT_STREQ(plain.name, "plain");
  for (int k = 0; k + 1 < count; ++k) {
    SCOPED_TRACE(list[k]->name);
    for (int rows = 1; rows <= quantized::kBlockRows; ++rows) {
      for (const int64_t group : {32, 128}) {
        const auto expected = everything(plain, rows, group);
        const auto actual = everything(*list[k], rows, group);
        for (size_t i = 0; i < expected.size(); ++i) {
          // Whole numbers are equal; floats differ by the order of a few hundred sums.
          const bool whole = !expected[i].is_floating_point();
          EXPECT_LE(largest_difference(actual[i], expected[i]),
                    whole ? 0 : 1e-5 * largest_magnitude(expected[i]))
              << "result " << i << ", rows " << rows << ", group " << group;
        }
      }
    }
  }
}

/// Panels of rows and of columns, two blocks of products with them, softened scores, stored sums.
std::vector<at::Tensor> everything_in_pairs(const Kernels& kernels, int rows) {
  constexpr int64_t kInputs = 70, kStride = 96, kWide = quantized::kPairPanel;
  const auto x = random({rows, kStride}, 14).to(at::kBFloat16);
  const auto matrix = random({kInputs + 1, kInputs}, 15).to(at::kBFloat16);
  const auto* data = static_cast<const uint16_t*>(matrix.const_data_ptr());
  std::vector<at::Tensor> results;
  auto sums = at::zeros({rows, kWide}), weights = at::zeros({64}, at::kBFloat16);
  for (const int64_t inputs : {kInputs, kInputs - 1}) {  // the odd one ends in half a pair
    for (const int count : {static_cast<int>(kWide), 19}) {
      for (const auto pack : {kernels.pack_rows, kernels.pack_columns}) {
        auto panel = at::zeros({kInputs / 2, kWide}, at::kInt);
        auto* words = static_cast<uint32_t*>(panel.mutable_data_ptr());
        pack(data, kInputs, count, inputs, words);
        kernels.pair_panel(static_cast<const uint16_t*>(x.const_data_ptr()), kStride, rows, kInputs,
                           words, results.empty() ? false : true, sums.mutable_data_ptr<float>(),
                           kWide);
        results.push_back(panel);
        results.push_back(sums.clone());
      }
    }
  }
  const auto bias = random({kWide}, 16);
  for (const bool narrow : {false, true}) {
    auto stored = at::zeros({rows, 40}, narrow ? at::kBFloat16 : at::kFloat);
    kernels.store_sums(sums.const_data_ptr<float>(), kWide, rows, bias.const_data_ptr<float>(),
                       {stored.mutable_data_ptr(), 40, 27, narrow});
    results.push_back(stored);
  }
  const auto scores = random({61}, 17) * 20;
  for (const int64_t count : {1, 16, 61}) {
    const auto total = kernels.soften(scores.const_data_ptr<float>(), count, 64, 0.3f,
                                      static_cast<uint16_t*>(weights.mutable_data_ptr()));
    const auto expected = (scores.narrow(0, 0, count) * 0.3).softmax(0);
    EXPECT_LE(largest_difference(weights.narrow(0, 0, count) / total, expected), 0.004);
    EXPECT_EQ(weights.narrow(0, count, 64 - count).abs().sum().item<float>(), 0);
    results.push_back(at::full({1}, total));
  }
  return results;
}

TEST(QuantizedKernels, EverySetMultipliesTheSamePairs) {
  const Kernels* list[quantized::kMostSets];
  const int count = quantized::available_kernels(list);
  for (int k = 0; k < count; ++k) {
    SCOPED_TRACE(list[k]->name);
    for (int rows = 1; rows <= quantized::kBlockRows; ++rows) {
      const auto expected = everything_in_pairs(*list[count - 1], rows);
      const auto actual = everything_in_pairs(*list[k], rows);
      for (size_t i = 0; i < expected.size(); ++i) {
        // Panels are equal, floats differ by the order of sums, bfloat16 by its last place.
        const double tolerance = !expected[i].is_floating_point()             ? 0
                                 : expected[i].scalar_type() == at::kBFloat16 ? 0.004
                                                                              : 1e-5;
        EXPECT_LE(largest_difference(actual[i], expected[i]),
                  tolerance * largest_magnitude(expected[i]))
            << "result " << i << ", rows " << rows;
      }
    }
  }
}

/// A transformed tile and weight, and results with one place missing.
std::vector<at::Tensor> everything_of_winograd(const Kernels& kernels) {
  constexpr int64_t kChannels = 48, kDistance = 80;
  constexpr auto kCells = quantized::kWinogradCells;
  const auto cells = random({kCells, kChannels}, 20).to(at::kBFloat16);
  const auto taps = random({kChannels, 9}, 21).to(at::kBFloat16);
  const auto sums = random({kCells, kDistance}, 22);
  const auto numbers = [](const at::Tensor& x) {
    return static_cast<uint16_t*>(x.mutable_data_ptr());
  };
  const uint16_t* from[kCells];
  for (int i = 0; i < kCells; ++i) from[i] = numbers(cells) + i * kChannels;
  const auto tile = at::zeros({kCells, kDistance}, at::kBFloat16), weight = at::zeros_like(tile);
  const auto results = at::zeros({quantized::kWinogradResults, kChannels}, at::kBFloat16);
  kernels.winograd_input(from, kChannels, numbers(tile), kDistance);
  kernels.winograd_weight(numbers(taps), kChannels, numbers(weight), kDistance);
  uint16_t* const to[] = {numbers(results), nullptr, numbers(results) + 2 * kChannels,
                          numbers(results) + 3 * kChannels};
  kernels.winograd_output(sums.const_data_ptr<float>(), kDistance, kChannels, to);
  return {tile, weight, results};
}

/// Sums and halves in the same order, so not a bit differs.
TEST(QuantizedKernels, EverySetTransformsTheSame) {
  const Kernels* list[quantized::kMostSets];
  const int count = quantized::available_kernels(list);
  const auto expected = everything_of_winograd(*list[count - 1]);
  EXPECT_TRUE(expected[2][1].eq(0).all().item<bool>());
  for (const auto& part : expected) EXPECT_GT(largest_magnitude(part), 1);
  for (int k = 0; k + 1 < count; ++k) {
    SCOPED_TRACE(list[k]->name);
    const auto actual = everything_of_winograd(*list[k]);
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_TRUE(actual[i].equal(expected[i])) << "result " << i;
    }
  }
}

TEST(QuantizedKernels, EverySetFindsTheSameInt4) {
  const Kernels* list[quantized::kMostSets];
  const int count = quantized::available_kernels(list);
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const auto x = random({32}, seed) * 0.02;
    for (int k = 0; k + 1 < count; ++k) {
      uint8_t expected[32], actual[32];
      const auto* data = x.const_data_ptr<float>();
      EXPECT_EQ(list[k]->round_int4(data, false, actual),
                list[count - 1]->round_int4(data, false, expected));
      EXPECT_TRUE(std::equal(actual, actual + 32, expected));
      // The search compares sums of floats, whose order differs: the error found may not.
      const auto error = [&](const Kernels& kernels) {
        uint8_t nibbles[32];
        const double scale = kernels.round_int4(data, true, nibbles);
        double sum = 0;
        for (int i = 0; i < 32; ++i) sum += std::pow((nibbles[i] - 8) * scale - data[i], 2);
        return sum;
      };
      EXPECT_NEAR(error(*list[k]) / error(*list[count - 1]), 1, 1e-4);
    }
  }
}

TEST(DecoderOps, NormAndRotationAreThoseOfPlainTensors) {
  const c10::InferenceMode no_gradients;
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const double tolerance = dtype == at::kFloat ? 1e-6 : 0.005;  // one rounding to bfloat16
    const auto x = random({11, 72}, 20), weight = (random({72}, 21) * 0.1 + 1).to(dtype);
    const auto scale = at::rsqrt(x.square().mean(-1, true) + 1e-5);
    const auto expected = weight * (x * scale).to(dtype);
    EXPECT_LE(largest_difference(rms_norm(x, weight, 1e-5), expected),
              tolerance * largest_magnitude(expected));
    const auto angle = random({11, 12}, 22);
    const auto twice = at::cat({angle, angle}, 1);
    const auto y = x.to(dtype);
    const auto heads = y.to(at::kFloat).unflatten(1, {3, 24}).transpose(0, 1);
    const auto first = heads.narrow(2, 0, 12), second = heads.narrow(2, 12, 12);
    const auto turned = heads * twice.cos() + at::cat({-second, first}, 2) * twice.sin();
    EXPECT_LE(largest_difference(rotate(y, twice.cos(), twice.sin()), turned),
              tolerance * largest_magnitude(turned));
  }
}

TEST(DecoderOps, AttentionOverACacheIsTheGeneralOne) {
  const c10::InferenceMode no_gradients;
  for (const int64_t kv_heads : {4, 2}) {
    for (const int64_t width : {16, 144}) {
      const auto store = random({2, kv_heads, 30, width}, 23).to(at::kBFloat16);
      const auto keys = store[0].narrow(1, 0, 21), values = store[1].narrow(1, 0, 21);
      for (const int64_t rows : {1, 3}) {
        const auto q = random({4, rows, width}, 24).to(at::kBFloat16);
        const auto mask = at::ones({rows, 21}, at::kBool).tril(21 - rows);
        const auto expected = at::scaled_dot_product_attention(
            q.to(at::kFloat).unsqueeze(0), keys.to(at::kFloat).unsqueeze(0),
            values.to(at::kFloat).unsqueeze(0), mask, 0, false, std::nullopt, true);
        // Products and sums in float; the result is rounded to bfloat16.
        EXPECT_LE(largest_difference(attend_few(q, keys, values),
                                     expected.squeeze(0).transpose(0, 1).flatten(1)),
                  0.004 * largest_magnitude(expected));
      }
    }
  }
}

}  // namespace
}  // namespace groma::ops
