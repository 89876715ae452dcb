#include "ops/nms.h"

#include <gtest/gtest.h>
#include <torch/cuda.h>

#include <cmath>
#include <limits>
#include <vector>

#include "ops/ops_support.h"

namespace groma {
namespace {

using ops::nms;
using testing::error_of;

at::Tensor boxes_of(const std::vector<float>& sides) { return at::tensor(sides).reshape({-1, 4}); }

std::vector<int64_t> kept(const at::Tensor& boxes, const std::vector<float>& scores,
                          double score_threshold = 0.15, int64_t max_kept = 100) {
  const auto indices = nms(boxes, at::tensor(scores), 0.6, score_threshold, max_kept);
  EXPECT_EQ(indices.scalar_type(), at::kLong);
  EXPECT_EQ(indices.dim(), 1);
  return {indices.data_ptr<int64_t>(), indices.data_ptr<int64_t>() + indices.numel()};
}

using Indices = std::vector<int64_t>;

const std::vector<float> kApart{0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5};

TEST(Nms, BestFirst) { EXPECT_EQ(kept(boxes_of(kApart), {0.3, 0.9, 0.5}), Indices({1, 2, 0})); }

TEST(Nms, EqualScoresKeepTheirOrder) {
  EXPECT_EQ(kept(boxes_of(kApart), {0.5, 0.9, 0.5}), Indices({1, 0, 2}));
  // Enough of them for a sort that is not stable to show.
  const auto corner = 2 * at::arange(100).unsqueeze(1).expand({-1, 2});
  const auto indices =
      nms(at::cat({corner, corner + 1}, 1).to(at::kFloat), at::full({100}, 0.5), 0.6, 0.15, 100);
  EXPECT_TRUE(at::equal(indices, at::arange(100)));
}

TEST(Nms, OverlappingBoxOfLowerScoreIsRemoved) {
  const auto boxes = boxes_of({0, 0, 10, 10, 0, 0, 10, 9, 0, 0, 10, 5});
  EXPECT_EQ(kept(boxes, {0.5, 0.9, 0.4}), Indices({1, 2}));
}

// The middle box is removed by the first, so it may not remove the third.
TEST(Nms, RemovedBoxRemovesNoOther) {
  const auto boxes = boxes_of({0, 0, 10, 10, 0, 0, 10, 7, 0, 0, 10, 5});
  EXPECT_EQ(kept(boxes, {0.9, 0.8, 0.7}), Indices({0, 2}));
}

TEST(Nms, IouEqualToTheThresholdStays) {
  // Shared 0.375, union 0.625: 0.6 exactly.
  EXPECT_EQ(kept(boxes_of({0, 0, 0.5, 1, 0.125, 0, 0.625, 1}), {0.9, 0.8}), Indices({0, 1}));
}

TEST(Nms, ScoresAreComparedAsFloats) {
  // 0.15 as a float is above 0.15 as a double.
  ASSERT_GT(static_cast<double>(0.15f), 0.15);
  EXPECT_EQ(kept(boxes_of(kApart), {0.15f, std::nextafter(0.15f, 1.0f), 0.1f}), Indices({1}));
}

TEST(Nms, WithoutScoreThresholdAllTakePart) {
  EXPECT_EQ(kept(boxes_of(kApart), {0.0, -1.0, 0.5}, 0.0), Indices({2, 0, 1}));
}

TEST(Nms, AtMostSoMany) {
  EXPECT_EQ(kept(boxes_of(kApart), {0.3, 0.9, 0.5}, 0.15, 2), Indices({1, 2}));
  EXPECT_EQ(kept(boxes_of(kApart), {0.3, 0.9, 0.5}, 0.15, 0), Indices());
}

TEST(Nms, NothingPassesOrNothingThere) {
  EXPECT_EQ(kept(boxes_of(kApart), {0.1, 0.05, 0.15}), Indices());
  EXPECT_EQ(nms(at::empty({0, 4}), at::empty({0}), 0.6, 0.15, 100).sizes(), at::IntArrayRef({0}));
}

// As in the reference: a pair whose union is negative counts as overlapping, one without area not.
TEST(Nms, InvertedAndEmptyBoxes) {
  const auto boxes = boxes_of({0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.4, 0.2, 0.2, 0.4});
  EXPECT_EQ(kept(boxes, {0.9, 0.8, 0.7}), Indices({0, 1}));
}

TEST(Nms, NaNNeverCrashes) {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(kept(boxes_of(kApart), {kNaN, 0.9, kNaN}), Indices({1}));
  EXPECT_EQ(kept(boxes_of(kApart), {kNaN, 0.9, 0.95}, 0.0), Indices({2, 1}));
  EXPECT_EQ(kept(boxes_of({0, 0, 1, 1, 0, kNaN, 1, 1, 0, 0, 1, 1}), {0.7, 0.9, 0.8}),
            Indices({1, 2}));
}

TEST(Nms, OtherTypesAndStrides) {
  const auto boxes = boxes_of({0, 0, 10, 10, 0, 0, 10, 9, 0, 0, 10, 5});
  const auto scores = at::tensor({0.5, 0.9, 0.4}, at::kDouble);
  const auto expected = at::tensor({1, 2}, at::kLong);
  EXPECT_TRUE(at::equal(nms(boxes.to(at::kDouble), scores, 0.6, 0.15, 100), expected));
  EXPECT_TRUE(at::equal(nms(boxes.to(at::kBFloat16), scores, 0.6, 0.15, 100), expected));
  EXPECT_TRUE(at::equal(nms(boxes.t().contiguous().t(), scores, 0.6, 0.15, 100), expected));
}

TEST(Nms, ErrorsNameBothSides) {
  const auto boxes = boxes_of(kApart);
  const auto scores = at::rand({3});
  EXPECT_EQ(error_of([&] { nms(boxes.slice(1, 1), scores, 0.6, 0.15, 1); }),
            "nms: boxes are [3, 3], expected [M, 4]");
  EXPECT_EQ(error_of([&] { nms(boxes, at::rand({4}), 0.6, 0.15, 1); }),
            "nms: scores are [4], expected [3]");
  EXPECT_EQ(error_of([&] { nms(boxes.to(at::kLong), scores, 0.6, 0.15, 1); }),
            "nms: boxes are Long, scores Float, expected floating types");
  EXPECT_EQ(error_of([&] { nms(boxes, scores, 0.6, 0.15, -1); }),
            "nms: max_kept is -1, must not be negative");
}

#ifdef GROMA_WITH_CUDA
TEST(Nms, IndicesLieOnTheDeviceOfTheBoxes) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device";
  const auto indices =
      nms(boxes_of(kApart).cuda(), at::tensor({0.3, 0.9, 0.5}).cuda(), 0.6, 0.15, 100);
  EXPECT_TRUE(indices.is_cuda());
  EXPECT_TRUE(at::equal(indices.cpu(), at::tensor({1, 2, 0}, at::kLong)));
}
#endif

}  // namespace
}  // namespace groma
