#pragma once

#include <opencv2/core.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace groma {

/// A text as the drawing font can show it: printable ASCII.
///
/// Latin letters lose their accents, typographic marks become plain ones, white space becomes one
/// space; every other character becomes '?'.
std::string to_drawable(std::string_view utf8);

/// Writes labels into one picture, each in a filled box beside the frame that it belongs to.
///
/// A label stays inside the picture, is shortened with "..." where it must be, and keeps clear of
/// the labels written before as far as the places around its frame allow.
class LabelWriter {
 public:
  /// picture   CV_8UC3, RGB; drawn into, must outlive the writer
  /// scale     1: letters fit for a picture of 640 x 480
  /// line      width of the frames, pixels
  LabelWriter(cv::Mat& picture, double scale, int line);

  void write(const std::string& utf8, const cv::Rect& frame, const cv::Scalar& color);

 private:
  /// Words with the distance of each from the line's beginning, pixels.
  struct Line {
    std::vector<std::pair<std::string, int>> words;
    int width = 0;
  };
  Line lay_out(const std::string& text) const;
  std::string shortened(std::string text, int width) const;
  cv::Rect best_place(const cv::Size& size, const cv::Rect& frame) const;

  cv::Mat& picture_;
  int line_;
  double font_scale_;
  int stroke_;         ///< of the letters, pixels
  int letter_height_;  ///< from the base line up, pixels
  int descent_;        ///< below the base line, pixels
  int padding_;        ///< around the text, pixels
  std::vector<cv::Rect> taken_;
};

}  // namespace groma
