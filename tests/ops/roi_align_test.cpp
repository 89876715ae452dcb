#include "ops/roi_align/roi_align.h"

#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>
#include <torch/cuda.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/ops_support.h"
#include "support.h"

namespace groma {
namespace {

using ops::roi_align;
using testing::error_of;
using testing::gradient_of;
using testing::largest_difference;
using testing::largest_magnitude;
using testing::numeric_gradient;
using testing::Threads;

struct Grid {
  int64_t height, width;
  double scale;
  int64_t sampling;
};

constexpr Grid kGrid{7, 5, 0.5, 3};

at::Tensor pool(const at::Tensor& features, const at::Tensor& boxes, const Grid& grid = kGrid) {
  return roi_align(features, boxes, grid.height, grid.width, grid.scale, grid.sampling);
}

/// The map's value between its pixels; zero further than a pixel outside.
template <typename Real>
Real sample(const at::TensorAccessor<Real, 2>& map, Real y, Real x) {
  const int64_t height = map.size(0), width = map.size(1);
  if (std::isnan(y) || std::isnan(x)) return 0;
  if (y < -1 || y > height || x < -1 || x > width) return 0;
  y = std::clamp<Real>(y, 0, height - 1);
  x = std::clamp<Real>(x, 0, width - 1);
  const auto top = static_cast<int64_t>(y), left = static_cast<int64_t>(x);
  Real sum = 0;
  for (int64_t row = top; row < std::min(top + 2, height); ++row) {
    for (int64_t column = left; column < std::min(left + 2, width); ++column) {
      sum += (1 - std::abs(y - row)) * (1 - std::abs(x - column)) * map[row][column];
    }
  }
  return sum;
}

template <typename Real>
at::Tensor reference(const at::Tensor& features, const at::Tensor& boxes, const Grid& grid) {
  const auto map = features.accessor<Real, 4>();
  const auto box = boxes.accessor<Real, 2>();
  at::Tensor output =
      at::zeros({boxes.size(0), features.size(1), grid.height, grid.width}, features.options());
  auto out = output.accessor<Real, 4>();
  const auto scale = static_cast<Real>(grid.scale);
  for (int64_t r = 0; r < boxes.size(0); ++r) {
    const Real x1 = box[r][1] * scale - Real(0.5), y1 = box[r][2] * scale - Real(0.5);
    const Real width = (box[r][3] * scale - Real(0.5) - x1) / grid.width;
    const Real height = (box[r][4] * scale - Real(0.5) - y1) / grid.height;
    for (int64_t c = 0; c < features.size(1); ++c) {
      for (int64_t i = 0; i < grid.height * grid.sampling; ++i) {
        for (int64_t j = 0; j < grid.width * grid.sampling; ++j) {
          const int64_t row = i / grid.sampling, column = j / grid.sampling;
          const Real y =
              y1 + row * height + (i % grid.sampling + Real(0.5)) * height / grid.sampling;
          const Real x =
              x1 + column * width + (j % grid.sampling + Real(0.5)) * width / grid.sampling;
          out[r][c][row][column] += sample(map[static_cast<int64_t>(box[r][0])][c], y, x) /
                                    (grid.sampling * grid.sampling);
        }
      }
    }
  }
  return output;
}

// A map of 11x9 pixels at scale 0.5: inputs of 22x18. Inside, across the border, reversed in x, in
// y, in both, of the second image, without size, outside.
at::Tensor some_boxes(at::ScalarType type = at::kDouble) {
  return at::tensor({0.0, 3.1,  2.3,   15.2, 17.9,   //
                     0.0, -6.7, -9.4,  31.3, 28.6,   //
                     1.0, 14.8, 3.2,   2.9,  19.1,   //
                     0.0, 2.2,  20.6,  13.4, 1.7,    //
                     1.0, 16.3, 19.7,  -4.1, -2.6,   //
                     1.0, 7.7,  7.9,   7.7,  7.9,    //
                     0.0, 60.1, 70.3,  90.2, 100.4,  //
                     1.0, -5.9, -90.8, 9.3,  -40.1},
                    at::dtype(type))
      .reshape({8, 5});
}

at::Tensor some_features(int64_t channels = 3, at::ScalarType type = at::kDouble) {
  at::manual_seed(7);
  return at::randn({2, channels, 11, 9}, at::dtype(at::kDouble)).to(type);
}

TEST(RoiAlign, EqualsPlainReferenceInDouble) {
  for (const Grid& grid : {kGrid, Grid{14, 14, 4.0 / 14, 2}, Grid{1, 1, 1.0, 1}}) {
    const auto expected = reference<double>(some_features(), some_boxes(), grid);
    EXPECT_LE(largest_difference(pool(some_features(), some_boxes(), grid), expected), 1e-13);
    EXPECT_GT(largest_magnitude(expected), 0.1);
  }
}

TEST(RoiAlign, EqualsPlainReferenceInFloat) {
  const auto features = some_features(3, at::kFloat);
  const auto boxes = some_boxes(at::kFloat);
  // A few roundings of numbers near 1.
  EXPECT_LE(largest_difference(pool(features, boxes), reference<float>(features, boxes, kGrid)),
            2e-6);
}

TEST(RoiAlign, OddAndManyChannels) {
  for (const int64_t channels : {1, 5, 257, 300}) {
    const auto features = some_features(channels);
    EXPECT_LE(largest_difference(pool(features, some_boxes()),
                                 reference<double>(features, some_boxes(), kGrid)),
              1e-13)
        << channels << " channels";
  }
}

TEST(RoiAlign, HalfTypesAreTheRoundedFloatResult) {
  for (const auto type : {at::kHalf, at::kBFloat16}) {
    const auto features = some_features(19, type);
    const auto output = pool(features, some_boxes(at::kFloat));
    EXPECT_EQ(output.scalar_type(), type);
    const auto precise = pool(features.to(at::kFloat), some_boxes(at::kFloat));
    EXPECT_TRUE(at::equal(output, precise.to(type))) << type;
  }
}

TEST(RoiAlign, BoxesInDoubleServeFloatFeatures) {
  const auto features = some_features(3, at::kFloat);
  EXPECT_TRUE(
      at::equal(pool(features, some_boxes(at::kDouble)), pool(features, some_boxes(at::kFloat))));
}

TEST(RoiAlign, AnyStridesGiveTheSameResult) {
  const auto features = some_features();
  const auto expected = pool(features, some_boxes());
  const auto channels_last = features.contiguous(at::MemoryFormat::ChannelsLast);
  const auto transposed = features.transpose(2, 3).contiguous().transpose(2, 3);
  const auto sliced = at::cat({features, features}, 1).slice(1, 1, 4);
  EXPECT_TRUE(at::equal(pool(channels_last, some_boxes()), expected));
  EXPECT_TRUE(at::equal(pool(transposed, some_boxes()), expected));
  EXPECT_TRUE(at::equal(pool(sliced, some_boxes()),
                        at::cat({expected.slice(1, 1, 3), expected.slice(1, 0, 1)}, 1)));
  const auto strided_boxes = some_boxes().t().contiguous().t();
  EXPECT_TRUE(at::equal(pool(features, strided_boxes), expected));
}

TEST(RoiAlign, ReversedBoxSamplesBackwards) {
  const auto forward = at::tensor({1.0, 2.0, 3.0, 14.0, 17.0}, at::kDouble).reshape({1, 5});
  const auto backward = at::tensor({1.0, 14.0, 3.0, 2.0, 17.0}, at::kDouble).reshape({1, 5});
  EXPECT_LE(
      largest_difference(pool(some_features(), backward), pool(some_features(), forward).flip(3)),
      1e-13);
}

TEST(RoiAlign, SamplesOutsideCountZero) {
  const auto ones = at::ones({1, 1, 4, 4}, at::kDouble);
  // One sample each, at y = 1 and x = -1.01, -0.99, 4 (the border's value up to here) and 4.01.
  const auto boxes = at::tensor({0.0, -0.51, 1.5, -0.51, 1.5,  //
                                 0.0, -0.49, 1.5, -0.49, 1.5,  //
                                 0.0, 4.5,   1.5, 4.5,   1.5,  //
                                 0.0, 4.51,  1.5, 4.51,  1.5},
                                at::kDouble)
                         .reshape({4, 5});
  const auto expected = at::tensor({0.0, 1.0, 1.0, 0.0}, at::kDouble);
  EXPECT_TRUE(at::equal(pool(ones, boxes, {1, 1, 1.0, 1}).flatten(), expected));
}

TEST(RoiAlign, BoxesOfNaNOrInfinityGiveZeros) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const double bad : {kNaN, kInfinity, -kInfinity, 1e300}) {
    for (int64_t side = 1; side < 5; ++side) {
      auto boxes = some_boxes().slice(0, 0, 1).clone();
      boxes[0][side] = bad;
      const auto features = some_features().requires_grad_();
      const auto output = pool(features, boxes);
      EXPECT_EQ(largest_magnitude(output), 0) << bad << " as side " << side;
      const auto gradient = gradient_of(output, at::ones_like(output), features);
      EXPECT_EQ(largest_magnitude(gradient), 0) << bad << " as side " << side;
    }
  }
}

TEST(RoiAlign, NoBoxesGiveEmptyResult) {
  const auto features = some_features().requires_grad_();
  const auto output = pool(features, at::empty({0, 5}, at::kDouble));
  EXPECT_EQ(output.sizes(), at::IntArrayRef({0, 3, 7, 5}));
  const auto gradient = gradient_of(output, at::ones_like(output), features);
  EXPECT_TRUE(at::equal(gradient, at::zeros_like(features)));
  EXPECT_EQ(pool(at::empty({0, 3, 4, 4}), at::empty({0, 5})).size(0), 0);
}

TEST(RoiAlign, ResultLiesChannelsLastInMemory) {
  EXPECT_TRUE(pool(some_features(), some_boxes()).is_contiguous(at::MemoryFormat::ChannelsLast));
}

TEST(RoiAlign, GradientEqualsFiniteDifferences) {
  const auto features = some_features(2).requires_grad_();
  const auto output = pool(features, some_boxes());
  const auto weights = at::randn_like(output);
  const auto loss = [&](const at::Tensor& x) { return (pool(x, some_boxes()) * weights).sum(); };
  // Linear in the features, so only the rounding of the difference remains.
  EXPECT_LE(largest_difference(gradient_of(output, weights, features),
                               numeric_gradient(loss, features, 1e-3)),
            1e-9);
}

TEST(RoiAlign, GradientOfHalfTypesIsSummedInFloat) {
  for (const auto type : {at::kHalf, at::kBFloat16}) {
    const auto features = some_features(19, type).requires_grad_();
    const auto output = pool(features, some_boxes(at::kFloat));
    const auto weights = at::randn_like(output);
    const auto gradient = gradient_of(output, weights, features);
    EXPECT_EQ(gradient.scalar_type(), type);

    const auto precise = features.detach().to(at::kFloat).requires_grad_();
    const auto expected =
        gradient_of(pool(precise, some_boxes(at::kFloat)), weights.to(at::kFloat), precise);
    EXPECT_TRUE(at::equal(gradient, expected.to(type))) << type;
  }
}

TEST(RoiAlign, ThreadsDoNotChangeTheResult) {
  const auto features = some_features(200, at::kFloat).requires_grad_();
  const auto boxes = some_boxes(at::kFloat).repeat({5, 1});
  const auto run = [&](int threads) {
    const Threads guard(threads);
    const auto output = pool(features, boxes);
    const auto weights = at::linspace(-1, 1, output.numel()).reshape(output.sizes());
    return std::pair(output.detach(), gradient_of(output, weights, features));
  };
  const auto [output, gradient] = run(1);
  for (const int threads : {2, 4}) {
    const auto [other_output, other_gradient] = run(threads);
    EXPECT_TRUE(at::equal(output, other_output)) << threads << " threads";
    EXPECT_TRUE(at::equal(gradient, other_gradient)) << threads << " threads";
  }
}

TEST(RoiAlign, WorksInInferenceMode) {
  const auto expected = pool(some_features(), some_boxes());
  const c10::InferenceMode guard;
  EXPECT_TRUE(at::equal(pool(some_features(), some_boxes()), expected));
}

TEST(RoiAlign, RefusesSecondDerivatives) {
  const auto features = some_features().requires_grad_();
  const auto output = pool(features, some_boxes());
  EXPECT_EQ(error_of([&] {
              torch::autograd::grad({output.sum()}, {features}, {}, /*retain_graph=*/true,
                                    /*create_graph=*/true);
            }),
            "roi_align: has first derivatives only");
}

TEST(RoiAlign, ErrorsNameBothSides) {
  const auto features = some_features();
  const auto boxes = some_boxes();
  EXPECT_EQ(error_of([&] { pool(features[0], boxes); }),
            "roi_align: features are [3, 11, 9], expected [B, C, H, W]");
  EXPECT_EQ(error_of([&] { pool(features.to(at::kLong), boxes); }),
            "roi_align: features are Long, expected a floating type");
  EXPECT_EQ(error_of([&] { pool(features, boxes.slice(1, 1)); }),
            "roi_align: boxes are [8, 4], expected [R, 5]");
  EXPECT_EQ(error_of([&] { pool(features, boxes.to(at::kHalf)); }),
            "roi_align: boxes are Half, expected Float or Double");
  EXPECT_EQ(error_of([&] { pool(features.slice(0, 0, 1), boxes); }),
            "roi_align: box 2 names image 1, the batch holds 1");
  EXPECT_EQ(error_of([&] { pool(features, boxes * -1); }),
            "roi_align: box 2 names image -1, the batch holds 2");
  EXPECT_EQ(error_of([&] {
              pool(features, boxes, {7, 0, 0.5, 2});
            }),
            "roi_align: grid is 7x0 with sampling 2, each must be at least 1");
  EXPECT_EQ(error_of([&] {
              pool(features, boxes, {7, 5, 0.5, 0});
            }),
            "roi_align: grid is 7x5 with sampling 0, each must be at least 1");
  EXPECT_EQ(error_of([&] { pool(features.to(at::kMeta), boxes); }),
            "roi_align: tensors lie on meta, expected cpu or cuda");
}

#ifdef GROMA_WITH_CUDA
TEST(RoiAlign, CudaEqualsCpu) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device";
  for (const auto type : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16}) {
    for (const int64_t channels : {5, 64}) {  // alone and in vectors
      const auto features = some_features(channels, type).requires_grad_();
      const auto output = pool(features, some_boxes());
      const auto weights = at::randn_like(output);
      const auto gradient = gradient_of(output, weights, features);

      const auto on_gpu = features.detach().cuda().requires_grad_();
      const auto gpu_output = pool(on_gpu, some_boxes().cuda());
      const auto gpu_gradient = gradient_of(gpu_output, weights.cuda(), on_gpu);
      // One rounding of the result; in float some of the sums in another order.
      const double tolerance = type == at::kBFloat16 ? 8e-3 : type == at::kHalf ? 1e-3 : 1e-5;
      EXPECT_LE(largest_difference(gpu_output.cpu(), output),
                tolerance * largest_magnitude(output));
      EXPECT_LE(largest_difference(gpu_gradient.cpu(), gradient),
                tolerance * largest_magnitude(gradient));
    }
  }
}
#endif

}  // namespace
}  // namespace groma
