// COCO and LVIS box metrics: the edge cases whose values both reference tools give, and random
// cases recorded from them by scripts/compare_metrics.py, which also compares at full size.

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "eval/annotations.h"
#include "eval/box_matching.h"

namespace groma::eval {
namespace {

constexpr XywhBox kBox = {10, 10, 50, 50};

/// A truth of `images` images and `categories` categories without negatives.
BoxTruth truth_of(const std::vector<TrueBox>& boxes, int images = 1, int categories = 1) {
  BoxTruth truth;
  for (int i = 1; i <= images; ++i) truth.images.push_back({i, {}, {}});
  for (int c = 1; c <= categories; ++c) truth.categories.push_back({c, 'f'});
  truth.boxes = boxes;
  return truth;
}

TrueBox true_box(std::int64_t id, const XywhBox& box, std::int64_t image = 1,
                 std::int64_t category = 1) {
  return {id, image, category, box, box[2] * box[3], false, false};
}

DetectedBox found(const XywhBox& box, std::int64_t image = 1, std::int64_t category = 1) {
  return {image, category, box, 1.0};
}

std::map<std::string, double> values_of(const BoxMetrics& metrics) {
  std::map<std::string, double> out;
  for (const Figure& figure : metrics.summary) out[figure.name] = figure.value;
  return out;
}

/// The six average recalls, within the rounding of a mean.
void expect_recalls(const BoxMetrics& metrics, const std::array<double, 6>& expected) {
  auto values = values_of(metrics);
  const std::array names = {"AR", "AR50", "AR75", "ARs", "ARm", "ARl"};
  for (std::size_t i = 0; i < names.size(); ++i) {
    EXPECT_NEAR(values[names[i]], expected[i], 1e-12) << names[i];
  }
}

TEST(LvisMetrics, FindsTheOneTruth) {
  const auto metrics = lvis_metrics(truth_of({true_box(1, kBox)}), {found(kBox)});
  expect_recalls(metrics, {1, 1, 1, -1, 1, -1});
  EXPECT_EQ(metrics.summary.size(), 15u);
}

TEST(LvisMetrics, CountsAnIdOfZeroUnlessStrict) {
  const auto truth = truth_of({true_box(0, kBox)});
  const auto ours = lvis_metrics(truth, {found(kBox)});
  expect_recalls(ours, {1, 1, 1, -1, 1, -1});
  ASSERT_EQ(ours.warnings.size(), 1u);
  EXPECT_NE(ours.warnings[0].find("id 0"), std::string::npos);
  expect_recalls(lvis_metrics(truth, {found(kBox)}, {.strict_reference = true}),
                 {0, 0, 0, -1, 0, -1});
}

TEST(LvisMetrics, CountsARepeatedDetectionOnce) {
  const auto truth = truth_of({true_box(1, kBox), true_box(2, {70, 70, 20, 20})});
  const auto twice = lvis_metrics(truth, {found(kBox), found(kBox)});
  expect_recalls(twice, {0.5, 0.5, 0.5, 0, 1, -1});
  EXPECT_NEAR(values_of(twice)["AP"], 51.0 / 101, 1e-12);
  expect_recalls(lvis_metrics(truth, {found(kBox), found({70, 70, 20, 20})}), {1, 1, 1, 1, 1, -1});
}

TEST(LvisMetrics, DropsEmptyBoxes) {
  expect_recalls(lvis_metrics(truth_of({true_box(1, kBox)}), {found({10, 10, 0, 50})}),
                 {0, 0, 0, -1, 0, -1});
  const auto truth = truth_of({true_box(1, kBox), true_box(2, {10, 10, 0, 0})});
  expect_recalls(lvis_metrics(truth, {found(kBox)}), {1, 1, 1, -1, 1, -1});
  EXPECT_NEAR(values_of(coco_metrics(truth, {found(kBox)}))["AR@100"], 0.5, 1e-12);
}

TEST(LvisMetrics, IgnoresWhatIsNeitherPresentNorNegative) {
  expect_recalls(
      lvis_metrics(truth_of({true_box(1, kBox)}, 1, 2), {found(kBox), found(kBox, 1, 2)}),
      {1, 1, 1, -1, 1, -1});
}

TEST(LvisMetrics, AveragesOverCategories) {
  expect_recalls(
      lvis_metrics(truth_of({true_box(1, kBox), true_box(2, kBox, 2)}, 2), {found(kBox)}),
      {0.5, 0.5, 0.5, -1, 0.5, -1});
  const auto truth = truth_of(
      {true_box(1, kBox, 1), true_box(2, kBox, 2), true_box(3, kBox, 3), true_box(4, kBox, 1, 2)},
      3, 2);
  expect_recalls(lvis_metrics(truth, {found(kBox, 1), found(kBox, 2), found(kBox, 3)}),
                 {0.5, 0.5, 0.5, -1, 0.5, -1});
}

TEST(LvisMetrics, MatchesAnOverlapEqualToTheThreshold) {
  expect_recalls(lvis_metrics(truth_of({true_box(1, {0, 0, 4, 1})}), {found({0, 0, 3, 1})}),
                 {0.6, 1, 1, 0.6, -1, -1});
  expect_recalls(lvis_metrics(truth_of({true_box(1, {0, 0, 5, 1})}), {found({0, 0, 3, 1})}),
                 {0.3, 1, 0, 0.3, -1, -1});
}

TEST(LvisMetrics, KeepsTheFirst300OfEqualScores) {
  std::vector<DetectedBox> detections(300, found({0, 0, 1, 1}));
  detections.push_back(found(kBox));
  expect_recalls(lvis_metrics(truth_of({true_box(1, kBox)}), detections), {0, 0, 0, -1, 0, -1});
}

TEST(LvisMetrics, OfEqualOverlapsTheLaterTruthWins) {
  const auto truth = truth_of({true_box(1, {0, 0, 10, 10}), true_box(2, {0, 0, 10, 9})});
  expect_recalls(lvis_metrics(truth, {found({0, 0, 10, 9.5}), found({0, 0, 10, 10})}),
                 {0.95, 1, 1, 0.95, -1, -1});
}

TEST(LvisMetrics, NoDetectionsGiveZeros) {
  expect_recalls(lvis_metrics(truth_of({true_box(1, kBox)}), {}), {0, 0, 0, -1, 0, -1});
}

TEST(CocoMetrics, ACrowdTakesDetectionsWithoutCounting) {
  auto truth = truth_of({true_box(1, kBox), true_box(2, {70, 70, 20, 20})});
  truth.boxes[0].crowd = true;
  const std::vector<DetectedBox> one = {found({12, 12, 20, 20}), found({70, 70, 20, 20})};
  const std::vector<DetectedBox> several = {one[0], found({30, 30, 20, 20}), one[1]};
  for (const auto& detections : {one, several}) {
    auto values = values_of(coco_metrics(truth, detections));
    EXPECT_EQ(values.size(), 12u);
    EXPECT_NEAR(values["AP"], 1, 1e-12);
    EXPECT_EQ(values["AR@1"], 0);
    EXPECT_EQ(values["AR@10"], 1);
  }
}

TEST(BoxMetrics, RefuseUnknownAndRepeatedIds) {
  const auto message = [](const BoxTruth& truth, const std::vector<DetectedBox>& detections) {
    try {
      lvis_metrics(truth, detections);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const auto truth = truth_of({true_box(7, kBox), true_box(7, kBox)});
  EXPECT_NE(message(truth, {}).find("annotation id 7 comes twice"), std::string::npos);
  EXPECT_NE(message(truth_of({true_box(7, kBox, 9)}), {}).find("image 9"), std::string::npos);
  EXPECT_NE(message(truth_of({true_box(7, kBox)}), {found(kBox, 3)}).find("image 3"),
            std::string::npos);
  EXPECT_NE(message(truth_of({true_box(7, kBox)}), {found({0, NAN, 1, 1})}).find("not finite"),
            std::string::npos);
}

/// Changes when any entry of an array changes or moves; as in scripts/compare_metrics.py.
double weighed(const std::vector<double>& values) {
  double sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    sum += values[i] * static_cast<double>(1 + i % 97);
  }
  return sum;
}

TEST(BoxMetrics, AgreeWithTheReferenceOnRecordedCases) {
  std::ifstream file(GROMA_SOURCE_DIR "/tests/data/eval/box_metrics.jsonl");
  std::string line;
  int cases = 0;
  while (std::getline(file, line)) {
    const auto recorded = nlohmann::json::parse(line);
    const bool lvis = recorded["metric"] == "lvis";
    const auto dataset =
        read_coco_shaped(recorded["truth"].dump(), "truth", lvis ? Format::kLvis : Format::kCoco);
    const auto detections = read_detections(recorded["detections"].dump(), "detections");
    const BoxMetricOptions options{.use_categories = !recorded["one_class"].get<bool>(),
                                   .strict_reference = recorded["strict"].get<bool>(),
                                   .threads = 1 + cases % 3};
    // Outside the strict mode an id of 0 counts; the reference was given ids from 1.
    const auto metrics = lvis ? lvis_metrics(box_truth(dataset), detections, options)
                              : coco_metrics(box_truth(dataset), detections, options);
    for (const Figure& figure : metrics.summary) {
      EXPECT_NEAR(figure.value, recorded["values"][figure.name].get<double>(), 1e-12)
          << "case " << cases << ' ' << figure.name;
    }
    // Sums of some ten thousand terms up to 97.
    EXPECT_NEAR(weighed(metrics.precision), recorded["precision"].get<double>(), 1e-7) << cases;
    EXPECT_NEAR(weighed(metrics.recall), recorded["recall"].get<double>(), 1e-9) << cases;
    ++cases;
  }
  EXPECT_EQ(cases, 80);
}

}  // namespace
}  // namespace groma::eval
