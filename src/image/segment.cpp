#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>

#include "groma/mask.h"

namespace groma {
namespace {

constexpr int kRounds = 4;
constexpr double kGround = 0.3;       // of the box's sides, what is seen of its surroundings
constexpr double kLongestSide = 384;  // of what GrabCut works on: its time grows with the area
constexpr double kLeast = 0.05;       // of the box: less is no object

cv::Rect whole_pixels(const Box& box, const cv::Rect& within) {
  const cv::Point from(static_cast<int>(std::floor(box.x1)), static_cast<int>(std::floor(box.y1)));
  const cv::Point to(static_cast<int>(std::ceil(box.x2)), static_cast<int>(std::ceil(box.y2)));
  return cv::Rect(from, to) & within;
}

/// GrabCut in `picture`, where `box` surrounds the object; 255 inside.
cv::Mat cut(const cv::Mat& picture, const cv::Rect& box) {
  cv::Mat labels(picture.size(), CV_8UC1, cv::Scalar(cv::GC_BGD));
  labels(box).setTo(cv::GC_PR_FGD);
  cv::Mat ground, object;
  cv::theRNG().state = 1;  // its clusters begin at random
  try {
    cv::grabCut(picture, labels, {}, ground, object, kRounds, cv::GC_INIT_WITH_MASK);
  } catch (const cv::Exception&) {  // no ground around the box, or too few colours
    return {};
  }
  return (labels & 1) * 255;
}

}  // namespace

Mask segment(const Image& image, const Box& box) {
  const cv::Mat rgb(image.height(), image.width(), CV_8UC3,
                    const_cast<std::uint8_t*>(image.data()));
  const cv::Rect all({}, rgb.size());
  const auto inner = whole_pixels(box, all);
  Mask mask{rgb.cols, rgb.rows, std::vector<std::uint8_t>(rgb.total())};
  if (inner.empty()) return mask;
  const int margin_x = std::max(4, static_cast<int>(kGround * inner.width));
  const int margin_y = std::max(4, static_cast<int>(kGround * inner.height));
  const auto outer = cv::Rect(inner.x - margin_x, inner.y - margin_y, inner.width + 2 * margin_x,
                              inner.height + 2 * margin_y) &
                     all;
  const double scale = std::min(1.0, kLongestSide / std::max(outer.width, outer.height));
  cv::Mat seen;
  cv::resize(rgb(outer), seen, {}, scale, scale, cv::INTER_AREA);
  const cv::Rect inside(
      cv::Point(cvRound((inner.x - outer.x) * scale), cvRound((inner.y - outer.y) * scale)),
      cv::Point(cvRound((inner.br().x - outer.x) * scale),
                cvRound((inner.br().y - outer.y) * scale)));
  cv::Mat found = inside.empty() ? cv::Mat() : cut(seen, inside & cv::Rect({}, seen.size()));
  cv::Mat whole(rgb.size(), CV_8UC1, mask.inside.data());
  if (!found.empty()) {
    cv::resize(found, found, outer.size(), 0, 0, cv::INTER_LINEAR);
    whole(outer).setTo(1, found > 127);
    cv::Mat beside(rgb.size(), CV_8UC1, cv::Scalar(1));
    beside(inner).setTo(0);
    whole.setTo(0, beside);
  }
  if (cv::countNonZero(whole) < kLeast * inner.area()) whole(inner).setTo(1);
  return mask;
}

}  // namespace groma
