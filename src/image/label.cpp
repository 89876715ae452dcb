#include "image/label.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <opencv2/imgproc.hpp>
#include <sstream>

namespace groma {
namespace {

constexpr int kFont = cv::FONT_HERSHEY_DUPLEX;
constexpr int kFontUnits = 21;  ///< height of its capitals at scale 1, pixels

/// One code point at the front of `text`, which is shortened by it; 0xFFFD for a damaged one.
char32_t take_code_point(std::string_view& text) {
  const auto first = static_cast<std::uint8_t>(text.front());
  text.remove_prefix(1);
  if (first < 0x80) return first;
  const int following = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : first >= 0xC0 ? 1 : 0;
  char32_t point = first & (0x3F >> following);
  for (int i = 0; i < following; ++i) {
    if (text.empty() || (static_cast<std::uint8_t>(text.front()) & 0xC0) != 0x80) return 0xFFFD;
    point = point << 6 | (static_cast<std::uint8_t>(text.front()) & 0x3F);
    text.remove_prefix(1);
  }
  return following == 0 ? 0xFFFD : point;
}

std::string plain(char32_t point) {
  if (point > 0x20 && point < 0x7F) return {static_cast<char>(point)};
  // U+00C0..U+00FF without accents.
  constexpr std::string_view kLatin =
      "AAAAAAACEEEEIIIIDNOOOOOxOUUUUYPsaaaaaaaceeeeiiiidnooooo/ouuuuypy";
  if (point >= 0xC0 && point <= 0xFF) return {kLatin[point - 0xC0]};
  switch (point) {
    case 0x2018:
    case 0x2019:
      return "'";
    case 0x201C:
    case 0x201D:
      return "\"";
    case 0x2010:
    case 0x2011:
    case 0x2012:
    case 0x2013:
    case 0x2014:
      return "-";
    case 0x2026:
      return "...";
    default:
      return "?";
  }
}

/// Relative luminance of a colour, 0..1 (ITU-R BT.709 on linearised levels).
double luminance(const cv::Scalar& color) {
  const auto linear = [](double level) { return std::pow(level / 255, 2.2); };
  return 0.2126 * linear(color[0]) + 0.7152 * linear(color[1]) + 0.0722 * linear(color[2]);
}

}  // namespace

std::string to_drawable(std::string_view utf8) {
  std::string text;
  bool space = false;
  while (!utf8.empty()) {
    const char32_t point = take_code_point(utf8);
    if (point <= 0x20 || point == 0xA0) {
      space = !text.empty();
      continue;
    }
    if (space) text += ' ';
    space = false;
    text += plain(point);
  }
  return text;
}

LabelWriter::LabelWriter(cv::Mat& picture, double scale, int line)
    : picture_(picture), line_(line) {
  const double capitals = std::max(11 * scale, 7.0);  // smaller ones cannot be read
  font_scale_ = capitals / kFontUnits;
  stroke_ = std::max(1, static_cast<int>(std::lround(capitals / 9)));
  letter_height_ = static_cast<int>(std::lround(capitals));
  descent_ = static_cast<int>(std::lround(capitals * 0.33));
  padding_ = std::max(2, static_cast<int>(std::lround(capitals * 0.4)));
}

/// The font's own space is as wide as a letter, which tears a label apart.
LabelWriter::Line LabelWriter::lay_out(const std::string& text) const {
  Line line;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (line.width > 0) line.width += (letter_height_ + 1) / 2;
    line.words.emplace_back(word, line.width);
    int below = 0;
    line.width += cv::getTextSize(word, kFont, font_scale_, stroke_, &below).width;
  }
  return line;
}

std::string LabelWriter::shortened(std::string text, int width) const {
  constexpr std::size_t kLongest = 40;
  constexpr std::string_view kDots = "...";
  if (text.size() <= kLongest && lay_out(text).width <= width) return text;
  text.resize(std::min(text.size(), kLongest));
  while (!text.empty() && lay_out(text + std::string(kDots)).width > width) text.pop_back();
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text + std::string(kDots);
}

/// Of the places at the frame's corners, outside before inside, the first that overlaps least.
cv::Rect LabelWriter::best_place(const cv::Size& size, const cv::Rect& frame) const {
  const int half = (line_ + 1) / 2;
  const int left = frame.x - half;
  const int right = frame.x + frame.width + half - size.width;
  const int above = frame.y - half - size.height;
  const int below = frame.y + frame.height + half;
  const int top = frame.y - half;
  const int bottom = frame.y + frame.height + half - size.height;
  const std::array<cv::Point, 8> places = {cv::Point(left, above),  cv::Point(left, top),
                                           cv::Point(right, above), cv::Point(left, below),
                                           cv::Point(right, top),   cv::Point(left, bottom),
                                           cv::Point(right, below), cv::Point(right, bottom)};
  cv::Rect best;
  double least = std::numeric_limits<double>::infinity();
  for (const cv::Point& place : places) {
    const cv::Rect inside(std::clamp(place.x, 0, std::max(0, picture_.cols - size.width)),
                          std::clamp(place.y, 0, std::max(0, picture_.rows - size.height)),
                          size.width, size.height);
    double cost = std::abs(inside.x - place.x) + std::abs(inside.y - place.y);
    for (const cv::Rect& other : taken_) cost += 10.0 * (inside & other).area();
    if (cost < least) {
      least = cost;
      best = inside;
    }
  }
  return best;
}

void LabelWriter::write(const std::string& utf8, const cv::Rect& frame, const cv::Scalar& color) {
  const int widest = std::max(frame.width, picture_.cols / 2) - 2 * padding_;
  const Line line = lay_out(shortened(to_drawable(utf8), widest));
  const cv::Size size(line.width + 2 * padding_, letter_height_ + descent_ + 2 * padding_);
  const cv::Rect place = best_place(size, frame);
  taken_.push_back(place);
  cv::rectangle(picture_, place, color, cv::FILLED);
  constexpr double kMiddle = 0.18;  // as far from black as from white, as contrast is reckoned
  const cv::Scalar ink =
      luminance(color) > kMiddle ? cv::Scalar(0, 0, 0) : cv::Scalar(255, 255, 255);
  for (const auto& [word, x] : line.words) {
    const cv::Point base(place.x + padding_ + x, place.y + padding_ + letter_height_);
    cv::putText(picture_, word, base, kFont, font_scale_, ink, stroke_, cv::LINE_AA);
  }
}

}  // namespace groma
