#include "ops/attention.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <cmath>

#include "ops/ops_support.h"
#include "support.h"

namespace groma::ops {
namespace {

using groma::testing::error_of;
using groma::testing::largest_difference;
using groma::testing::largest_magnitude;
using groma::testing::random_bfloat16;

/// Said plainly, in double.
at::Tensor expected_of(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                       bool causal) {
  const auto shared = q.size(1) / keys.size(1), rows = q.size(2), positions = keys.size(2);
  const auto wide = [&](const at::Tensor& x) {
    return x.to(at::kDouble).repeat_interleave(shared, 1);
  };
  const auto width = static_cast<double>(q.size(3));
  auto scores = q.to(at::kDouble).matmul(wide(keys).transpose(2, 3)) / std::sqrt(width);
  if (causal) {
    const auto sees = at::ones({rows, positions}, at::kBool).tril(positions - rows);
    scores = scores.masked_fill(sees.logical_not(), -INFINITY);
  }
  return scores.softmax(-1).matmul(wide(values)).transpose(1, 2).flatten(2);
}

/// The weights are rounded to bfloat16 before they meet the values and the result is after: twice
/// 2^-9 of the largest value, of which the sums average the first away in part.
constexpr double kTolerance = 0.006;

TEST(Attention, IsSoftmaxOfScoresTimesValues) {
  const c10::InferenceMode no_gradients;
  for (const int64_t width : {2, 16, 64, 80, 128}) {
    for (const int64_t positions : {1, 15, 33, 300}) {
      for (const int64_t rows : {1, 13, 50}) {
        for (const bool causal : {false, true}) {
          if (causal && rows > positions) continue;
          SCOPED_TRACE(::testing::Message() << width << " wide, " << rows << " of " << positions
                                            << (causal ? ", causal" : ""));
          const auto q = random_bfloat16({2, 4, rows, width}, 1) * 3;
          const auto keys = random_bfloat16({2, 2, positions, width}, 2);
          const auto values = random_bfloat16({2, 2, positions, width}, 3);
          const auto expected = expected_of(q, keys, values, causal);
          const auto actual = attention(q, keys, values, causal);
          ASSERT_EQ(actual.sizes(), expected.sizes());
          EXPECT_LE(largest_difference(actual, expected), kTolerance * largest_magnitude(values));
        }
      }
    }
  }
}

TEST(Attention, ReadsHeadsWhereTheyLie) {
  const c10::InferenceMode no_gradients;
  const auto store = random_bfloat16({3, 1, 40, 4, 32}, 4).transpose(2, 3);  // of [N, heads, width]
  const auto q = store[0], keys = store[1].narrow(2, 0, 37), values = store[2].narrow(2, 3, 37);
  EXPECT_TRUE(attention(q, keys, values, false)
                  .equal(attention(q.contiguous(), keys.contiguous(), values.contiguous(), false)));
}

/// Scores far apart: the smaller ones weigh nothing, and nothing overflows.
TEST(Attention, SharpAndHugeScoresChooseOneValue) {
  const c10::InferenceMode no_gradients;
  const auto keys = at::eye(20).to(at::kBFloat16).view({1, 1, 20, 20});
  const auto values = random_bfloat16({1, 1, 20, 20}, 5);
  for (const double size : {1e3, 1e30}) {
    EXPECT_TRUE(attention(keys * size, keys * 100, values, false).equal(values.flatten(1, 2)));
  }
}

TEST(Attention, NotANumberStaysOne) {
  const c10::InferenceMode no_gradients;
  auto q = random_bfloat16({1, 1, 3, 16}, 6);
  const auto keys = random_bfloat16({1, 1, 40, 16}, 7);
  q[0][0][1].fill_(NAN);
  const auto y = attention(q, keys, keys, false);
  EXPECT_TRUE(y[0][1].isnan().all().item<bool>());
  EXPECT_FALSE(y[0][0].isnan().any().item<bool>());
}

TEST(Attention, RefusesWhatDoesNotFit) {
  const auto q = random_bfloat16({1, 2, 5, 8}, 1), keys = random_bfloat16({1, 2, 4, 8}, 2);
  EXPECT_NE(error_of([&] {
              attention(q, keys, keys, true);
            }).find("q is [1, 2, 5, 8], keys [1, 2, 4, 8], values [1, 2, 4, 8], causal"),
            std::string::npos);
  EXPECT_NE(error_of([&] {
              attention(q.to(at::kFloat), keys, keys, false);
            }).find("takes BFloat16 on the CPU, heads without gaps; got Float"),
            std::string::npos);
}

}  // namespace
}  // namespace groma::ops
