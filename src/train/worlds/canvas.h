#pragma once

#include <opencv2/core/mat.hpp>
#include <opencv2/core/types.hpp>
#include <vector>

#include "train/worlds/sprite.h"

namespace groma::train {

/// A picture that remembers which object every pixel shows.
class Canvas {
 public:
  explicit Canvas(cv::Mat background);

  /// What a sprite would do to the objects below it.
  struct Effect {
    std::vector<int> near;   ///< objects less than two pixels from it, or below it
    std::vector<int> hides;  ///< by object: how many of its visible pixels it would hide
    bool separate = true;    ///< `near` is empty
  };
  Effect effect_of(const Sprite& sprite, cv::Point at) const;

  /// Lays the sprite over the picture as a new object, the topmost one.
  void paint(const Sprite& sprite, cv::Point at);

  int objects() const { return static_cast<int>(full_.size()); }
  const cv::Mat& rgb() const { return rgb_; }
  const cv::Mat& owner() const { return owner_; }
  const cv::Rect& full_rect(int object) const { return full_[object]; }
  int full_pixels(int object) const { return full_pixels_[object]; }
  int visible_pixels(int object) const { return visible_pixels_[object]; }

  /// Around the object's visible pixels, of which `sprite` at `at` hides some.
  cv::Rect visible_rect(int object, const Sprite* sprite = nullptr, cv::Point at = {}) const;

 private:
  cv::Mat rgb_;
  cv::Mat owner_;  ///< CV_8U: 0 background, i + 1 object i
  std::vector<cv::Rect> full_;
  std::vector<int> full_pixels_;
  std::vector<int> visible_pixels_;
};

}  // namespace groma::train
