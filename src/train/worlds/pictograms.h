#pragma once

#include <cstdint>
#include <opencv2/core/mat.hpp>
#include <string>
#include <vector>

namespace groma::train {

/// Path of the colour font: `path` if not empty, else what GROMA_EMOJI_FONT names, else the first
/// of the usual places that exists.
///
/// throws    Error naming the package to install when there is none
std::string emoji_font(const std::string& path);

/// Reads the bitmap of each character out of a colour font.
///
/// returns   [height, width] CV_8UC4 each: R, G, B not multiplied by alpha, then alpha; cut to what
///           is not transparent
/// throws    Error when the font cannot be read or lacks a character
std::vector<cv::Mat> read_pictograms(const std::string& font,
                                     const std::vector<std::uint32_t>& characters);

}  // namespace groma::train
