#include "train/worlds/canvas.h"

#include <algorithm>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

namespace groma::train {
namespace {

constexpr int kGap = 2;  // pixels around a sprite in which another object counts as near

}  // namespace

cv::Rect solid_rect(const cv::Mat& coverage) {
  cv::Point low(coverage.cols, coverage.rows);
  cv::Point high(-1, -1);
  for (int y = 0; y < coverage.rows; ++y) {
    const auto* row = coverage.ptr<uchar>(y);
    for (int x = 0; x < coverage.cols; ++x) {
      if (row[x] < kHalfCovered) continue;
      low = {std::min(low.x, x), std::min(low.y, y)};
      high = {std::max(high.x, x), std::max(high.y, y)};
    }
  }
  if (high.x < 0) return {};
  return {low.x, low.y, high.x - low.x + 1, high.y - low.y + 1};
}

Sprite trimmed(const Sprite& sprite) {
  const cv::Rect solid = solid_rect(sprite.coverage);
  const cv::Rect kept = cv::Rect(solid.x - 1, solid.y - 1, solid.width + 2, solid.height + 2) &
                        cv::Rect({0, 0}, sprite.coverage.size());
  const cv::Mat coverage = sprite.coverage(kept);
  cv::Mat reach;
  cv::dilate(coverage >= kHalfCovered, reach, cv::Mat::ones(3, 3, CV_8U));
  cv::Mat fringed;
  cv::bitwise_and(coverage, reach, fringed);
  return {sprite.color(kept), fringed};
}

Canvas::Canvas(cv::Mat background)
    : rgb_(std::move(background)), owner_(rgb_.size(), CV_8U, cv::Scalar(0)) {}

Canvas::Effect Canvas::effect_of(const Sprite& sprite, cv::Point at) const {
  Effect effect;
  effect.hides.assign(full_.size(), 0);
  const cv::Rect around = cv::Rect(at.x - kGap, at.y - kGap, sprite.coverage.cols + 2 * kGap,
                                   sprite.coverage.rows + 2 * kGap) &
                          cv::Rect({0, 0}, owner_.size());
  std::vector<bool> near(full_.size(), false);
  const bool any = std::any_of(full_.begin(), full_.end(),
                               [&](const cv::Rect& box) { return (box & around).area() > 0; });
  if (!any) return effect;
  const auto covered = [&](int x, int y) {
    return x >= 0 && y >= 0 && x < sprite.coverage.cols && y < sprite.coverage.rows &&
           sprite.coverage.at<uchar>(y, x) >= kHalfCovered;
  };
  for (int y = around.y; y < around.br().y; ++y) {
    const auto* row = owner_.ptr<uchar>(y);
    for (int x = around.x; x < around.br().x; ++x) {
      if (row[x] == 0) continue;
      const int object = row[x] - 1;
      const int u = x - at.x;
      const int v = y - at.y;
      if (covered(u, v)) {
        ++effect.hides[object];
        near[object] = true;
      } else if (!near[object]) {
        near[object] = covered(u - kGap, v) || covered(u + kGap, v) || covered(u, v - kGap) ||
                       covered(u, v + kGap);
      }
    }
  }
  for (int i = 0; i < objects(); ++i) {
    if (near[i]) effect.near.push_back(i);
  }
  effect.separate = effect.near.empty();
  return effect;
}

void Canvas::paint(const Sprite& sprite, cv::Point at) {
  full_.push_back(solid_rect(sprite.coverage) + at);
  full_pixels_.push_back(0);
  visible_pixels_.push_back(0);
  const auto number = static_cast<uchar>(full_.size());
  for (int y = 0; y < sprite.coverage.rows; ++y) {
    auto* pixels = rgb_.ptr<cv::Vec3b>(at.y + y) + at.x;
    auto* owners = owner_.ptr<uchar>(at.y + y) + at.x;
    const auto* colors = sprite.color.ptr<cv::Vec3b>(y);
    const auto* covers = sprite.coverage.ptr<uchar>(y);
    for (int x = 0; x < sprite.coverage.cols; ++x) {
      const int cover = covers[x];
      for (int c = 0; c < 3; ++c) {
        pixels[x][c] =
            static_cast<uchar>((pixels[x][c] * (255 - cover) + colors[x][c] * cover + 127) / 255);
      }
      if (cover < kHalfCovered) continue;
      if (owners[x] > 0) --visible_pixels_[owners[x] - 1];
      owners[x] = number;
      ++full_pixels_.back();
    }
  }
  visible_pixels_.back() = full_pixels_.back();
}

cv::Rect Canvas::visible_rect(int object, const Sprite* sprite, cv::Point at) const {
  const cv::Rect& full = full_[object];
  cv::Mat mask(full.size(), CV_8U);
  const auto number = static_cast<uchar>(object + 1);
  for (int y = 0; y < full.height; ++y) {
    const auto* owners = owner_.ptr<uchar>(full.y + y) + full.x;
    auto* row = mask.ptr<uchar>(y);
    for (int x = 0; x < full.width; ++x) row[x] = owners[x] == number ? 255 : 0;
  }
  if (sprite != nullptr) {
    const cv::Rect hidden = full & cv::Rect(at, sprite->coverage.size());
    for (int y = hidden.y; y < hidden.br().y; ++y) {
      const auto* covers = sprite->coverage.ptr<uchar>(y - at.y);
      for (int x = hidden.x; x < hidden.br().x; ++x) {
        if (covers[x - at.x] >= kHalfCovered) mask.at<uchar>(y - full.y, x - full.x) = 0;
      }
    }
  }
  return solid_rect(mask) + full.tl();
}

}  // namespace groma::train
