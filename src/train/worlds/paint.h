#pragma once

#include <opencv2/core/mat.hpp>
#include <string>

namespace groma::train {

/// The picture with its prevailing colour replaced by what `color` (of kColors) stands for; other
/// colours, white and black stay, light and shade too.
///
/// picture   CV_8UC4: R, G, B not multiplied by alpha, then alpha
cv::Mat painted(const cv::Mat& picture, const std::string& color);

}  // namespace groma::train
