#pragma once

#include <opencv2/core/mat.hpp>
#include <opencv2/core/types.hpp>

namespace groma::train {

/// A small picture to be laid over another one.
struct Sprite {
  cv::Mat color;     ///< [height, width] CV_8UC3, RGB
  cv::Mat coverage;  ///< [height, width] CV_8U: 255 where it hides what is below
};

/// Where a pixel counts as the object's: at least half of it is covered.
inline constexpr int kHalfCovered = 128;

/// The sprite without what is more than a pixel away from any that counts as the object's: faint
/// strands, and rows and columns at the border.
Sprite trimmed(const Sprite& sprite);

/// Around the pixels of `coverage` that count as the object's; empty when there are none.
cv::Rect solid_rect(const cv::Mat& coverage);

}  // namespace groma::train
