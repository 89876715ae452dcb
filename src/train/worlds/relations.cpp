#include "train/worlds/relations.h"

#include <algorithm>
#include <cmath>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

namespace groma::train {
namespace {

// Margins, as shares of the picture's side.
constexpr float kBesideMargin = 0.06f;
constexpr float kOtherSideMargin = 0.02f;
constexpr float kExtremeMargin = 0.05f;
constexpr float kEdgeMargin = 0.01f;
constexpr float kNearestMargin = 0.03f;
constexpr float kBorderMargin = 0.02f;

constexpr float kNearestRatio = 1.25f;
constexpr float kSideRatio = 1.25f;
constexpr float kAreaRatio = 1.5f;
constexpr float kSideMargin = 0.022f;

struct Extent {
  float low;
  float high;
  float center() const { return (low + high) / 2; }
};

/// The box along the axis of `side`, turned so that smaller is further to that side.
Extent along(const Box& box, Side side) {
  if (side == Side::kLeft) return {box.x1, box.x2};
  if (side == Side::kRight) return {-box.x2, -box.x1};
  if (side == Side::kAbove) return {box.y1, box.y2};
  return {-box.y2, -box.y1};
}

Extent across(const Box& box, Side side) {
  const bool sideways = side == Side::kLeft || side == Side::kRight;
  return along(box, sideways ? Side::kAbove : Side::kLeft);
}

float center_distance(const Box& a, const Box& b) {
  return std::hypot((a.x1 + a.x2 - b.x1 - b.x2) / 2, (a.y1 + a.y2 - b.y1 - b.y2) / 2);
}

float border_distance(const Box& a, const Box& b) {
  const float dx = std::max({0.0f, a.x1 - b.x2, b.x1 - a.x2});
  const float dy = std::max({0.0f, a.y1 - b.y2, b.y1 - a.y2});
  return std::hypot(dx, dy);
}

float longest(const Box& box) { return std::max(box.x2 - box.x1, box.y2 - box.y1); }

float area(const Box& box) { return (box.x2 - box.x1) * (box.y2 - box.y1); }

bool clearly_larger(const Scene& scene, int first, int second) {
  const SceneObject& a = scene.objects[first];
  const SceneObject& b = scene.objects[second];
  const float margin = kSideMargin * static_cast<float>(scene.size);
  return longest(a.full_box) >= longest(b.full_box) + margin &&
         longest(a.full_box) >= kSideRatio * longest(b.full_box) &&
         area(a.full_box) >= kAreaRatio * area(b.full_box) &&
         area(a.box) >= kAreaRatio * area(b.box);
}

bool clearly_further(const Scene& scene, int a, int b, Side side) {
  const auto size = static_cast<float>(scene.size);
  const Extent first = along(scene.objects[a].box, side);
  const Extent second = along(scene.objects[b].box, side);
  return first.center() + kExtremeMargin * size <= second.center() &&
         first.low + kEdgeMargin * size <= second.low;
}

bool is_more(const Scene& scene, int a, int b, Extreme which) {
  switch (which) {
    case Extreme::kLargest:
      return clearly_larger(scene, a, b);
    case Extreme::kSmallest:
      return clearly_larger(scene, b, a);
    case Extreme::kLeftmost:
      return clearly_further(scene, a, b, Side::kLeft);
    case Extreme::kRightmost:
      return clearly_further(scene, a, b, Side::kRight);
    case Extreme::kTopmost:
      return clearly_further(scene, a, b, Side::kAbove);
    default:
      return clearly_further(scene, a, b, Side::kBelow);
  }
}

/// By object: how many of its pixels lie in the anchor's mask grown by `reach` pixels.
std::vector<int> pixels_near(const Scene& scene, int anchor, int reach) {
  const Box& box = scene.objects[anchor].box;
  const cv::Rect around =
      cv::Rect(static_cast<int>(box.x1) - reach, static_cast<int>(box.y1) - reach,
               static_cast<int>(box.x2 - box.x1) + 2 * reach,
               static_cast<int>(box.y2 - box.y1) + 2 * reach) &
      cv::Rect(0, 0, scene.size, scene.size);
  const cv::Mat owner(scene.size, scene.size, CV_8U,
                      const_cast<std::uint8_t*>(scene.owner.data()));  // Mat has no const view
  const cv::Mat part = owner(around);
  cv::Mat grown;
  cv::dilate(part == anchor + 1, grown, cv::Mat::ones(2 * reach + 1, 2 * reach + 1, CV_8U));
  std::vector<int> counts(scene.objects.size(), 0);
  for (int y = 0; y < part.rows; ++y) {
    for (int x = 0; x < part.cols; ++x) {
      const int object = part.at<std::uint8_t>(y, x) - 1;
      if (object >= 0 && grown.at<uchar>(y, x) != 0) ++counts[object];
    }
  }
  return counts;
}

}  // namespace

Truth is_beside(const Scene& scene, int object, int anchor, Side side) {
  const auto size = static_cast<float>(scene.size);
  const Extent it = along(scene.objects[object].box, side);
  const Extent other = along(scene.objects[anchor].box, side);
  const float distance = other.center() - it.center();
  if (distance <= -kOtherSideMargin * size) return Truth::kNo;
  const float sideways = std::abs(across(scene.objects[object].box, side).center() -
                                  across(scene.objects[anchor].box, side).center());
  const bool clear =
      distance >= kBesideMargin * size && distance >= 0.7f * sideways && it.center() <= other.low;
  return clear ? Truth::kYes : Truth::kUnclear;
}

std::vector<Truth> touching(const Scene& scene, int anchor) {
  constexpr int kLeastTouch = 3;  // pixels
  const std::vector<int> beside = pixels_near(scene, anchor, 1);
  const std::vector<int> near = pixels_near(scene, anchor, scene.size / 36);
  std::vector<Truth> result(scene.objects.size(), Truth::kUnclear);
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (beside[i] >= kLeastTouch) result[i] = Truth::kYes;
    if (near[i] == 0) result[i] = Truth::kNo;
  }
  result[anchor] = Truth::kNo;
  return result;
}

std::optional<int> nearest(const Scene& scene, const std::vector<int>& candidates, int anchor) {
  const auto size = static_cast<float>(scene.size);
  const Box& from = scene.objects[anchor].box;
  const auto nearer = [&](int a, int b) {
    const Box& first = scene.objects[a].box;
    const Box& second = scene.objects[b].box;
    const float distance = center_distance(first, from);
    return kNearestRatio * distance + kNearestMargin * size <= center_distance(second, from) &&
           border_distance(first, from) + kBorderMargin * size <= border_distance(second, from);
  };
  for (const int a : candidates) {
    const bool wins = std::all_of(candidates.begin(), candidates.end(),
                                  [&](int b) { return a == b || nearer(a, b); });
    if (wins) return a;
  }
  return {};
}

std::optional<int> extreme(const Scene& scene, const std::vector<int>& candidates, Extreme which) {
  for (const int a : candidates) {
    const bool wins = std::all_of(candidates.begin(), candidates.end(),
                                  [&](int b) { return a == b || is_more(scene, a, b, which); });
    if (wins) return a;
  }
  return {};
}

std::optional<std::vector<int>> sequence(const Scene& scene, std::vector<int> candidates,
                                         Side from) {
  std::sort(candidates.begin(), candidates.end(), [&](int a, int b) {
    return along(scene.objects[a].box, from).center() < along(scene.objects[b].box, from).center();
  });
  for (std::size_t i = 1; i < candidates.size(); ++i) {
    if (!clearly_further(scene, candidates[i - 1], candidates[i], from)) return {};
  }
  return candidates;
}

}  // namespace groma::train
