#include "image/draw.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <map>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <set>
#include <sstream>
#include <utility>

#include "image/label.h"
#include "image/palette.h"

namespace groma {
namespace {

const cv::Scalar kEdge(20, 20, 20);

cv::Scalar scalar(const Rgb& color) { return {1. * color[0], 1. * color[1], 1. * color[2]}; }

const cv::Scalar kGiven = scalar(kGivenColor);

/// One box to draw with its label.
struct Mark {
  Box box;
  std::string label;
  cv::Scalar color;
  int nesting = 0;  ///< boxes of the same region drawn before, which this one must not hide
  bool bold = false;
};

/// The box with its frame wholly inside the picture.
cv::Rect frame_of(const Mark& mark, int line, const cv::Size& picture) {
  const int inset = mark.nesting * 2 * line;
  const auto side = [&](float value, int length) {
    const int margin = std::min(line, (length - 1) / 2);
    const float clamped = std::isfinite(value) ? std::clamp<float>(value, 0, length) : 0;
    return std::clamp(static_cast<int>(std::lround(clamped)), margin, length - 1 - margin);
  };
  const cv::Point from(side(mark.box.x1 + inset, picture.width),
                       side(mark.box.y1 + inset, picture.height));
  const cv::Point to(side(mark.box.x2 - inset, picture.width),
                     side(mark.box.y2 - inset, picture.height));
  // Of a thin box the inset would turn the sides around.
  return {from, cv::Point(std::max(from.x, to.x) + 1, std::max(from.y, to.y) + 1)};
}

/// The band of `width` pixels around the line of `frame`, half of it outside.
void fill_band(cv::Mat& picture, const cv::Rect& frame, int width, const cv::Scalar& color) {
  const int outside = width / 2;
  const cv::Rect outer(frame.x - outside, frame.y - outside, frame.width - 1 + width,
                       frame.height - 1 + width);
  const auto fill = [&](int x, int y, int w, int h) {
    cv::rectangle(picture, cv::Rect(x, y, w, h), color, cv::FILLED);
  };
  fill(outer.x, outer.y, outer.width, width);
  fill(outer.x, outer.br().y - width, outer.width, width);
  fill(outer.x, outer.y, width, outer.height);
  fill(outer.br().x - width, outer.y, width, outer.height);
}

void draw_frame(cv::Mat& picture, const cv::Rect& frame, const cv::Scalar& color, int line) {
  // A dark edge keeps the frame visible on ground of its own colour.
  const int edge = std::max(1, line / 4);
  fill_band(picture, frame, line + 2 * edge, kEdge);
  fill_band(picture, frame, line, color);
}

/// Draws `marks` on the image `times` as large, the most important first: it lies on top and its
/// label has the first choice of place.
Image draw_marks(const Image& image, std::vector<Mark> marks, double text_scale, int times) {
  const cv::Mat whole(image.height(), image.width(), CV_8UC3,
                      const_cast<std::uint8_t*>(image.data()));
  cv::Mat picture;
  cv::resize(whole, picture, {}, times, times, cv::INTER_CUBIC);  // a copy where times is 1
  for (Mark& mark : marks) {
    for (float* side : {&mark.box.x1, &mark.box.y1, &mark.box.x2, &mark.box.y2}) {
      *side *= static_cast<float>(times);
    }
  }
  const double unit = std::sqrt(static_cast<double>(picture.total())) / 554;  // 1 at 640 x 480
  const int line = std::max(1, static_cast<int>(std::lround(3 * unit)));

  std::vector<cv::Rect> frames;
  for (const Mark& mark : marks) frames.push_back(frame_of(mark, line, picture.size()));
  for (std::size_t i = marks.size(); i-- > 0;) {
    draw_frame(picture, frames[i], marks[i].color, marks[i].bold ? 2 * line : line);
  }
  // All labels come last: none disappears behind a frame.
  LabelWriter labels(picture, text_scale * unit, line);
  for (std::size_t i = 0; i < marks.size(); ++i) {
    if (!marks[i].label.empty()) labels.write(marks[i].label, frames[i], marks[i].color);
  }
  return Image::from_rgb(picture.data, picture.cols, picture.rows);
}

/// The image with each mask in its phrase's colour, half-transparent.
Image with_masks(const Image& image, const std::vector<Phrase>& phrases,
                 const std::vector<Rgb>& colors, const std::map<int, Mask>& masks) {
  std::vector<std::uint8_t> rgb(image.data(),
                                image.data() + std::size_t{3} * image.width() * image.height());
  std::set<int> done;
  for (std::size_t i = 0; i < phrases.size(); ++i) {
    for (const NamedRegion& named : phrases[i].regions) {
      const auto mask = masks.find(named.region);
      if (mask == masks.end() || !done.insert(named.region).second) continue;
      for (std::size_t at = 0; at < mask->second.inside.size(); ++at) {
        if (mask->second.inside[at] == 0) continue;
        for (int c = 0; c < 3; ++c) {
          auto& value = rgb[3 * at + c];
          value = static_cast<std::uint8_t>((value + colors[i][c]) / 2);
        }
      }
    }
  }
  return Image::from_rgb(rgb.data(), image.width(), image.height());
}

}  // namespace

int drawing_scale(const Image& image) {
  constexpr int kEnough = 448;
  const int longest = std::max(image.width(), image.height());
  return (kEnough + longest - 1) / longest;
}

Image draw_answer(const Image& image, const ChatResult& answer, const std::map<int, Mask>& masks,
                  const std::vector<std::pair<Box, std::string>>& pointed_at, int times) {
  std::vector<Mark> marks;
  const auto colors = phrase_colors(answer.phrases);
  std::set<std::pair<int, std::string>> seen;  // what is drawn, by region and label
  std::map<int, int> nesting;                  // how often each region was drawn
  for (std::size_t i = 0; i < answer.phrases.size(); ++i) {
    for (const NamedRegion& named : answer.phrases[i].regions) {
      const std::string label = region_label(answer.phrases[i], named);
      if (!seen.insert({named.region, label}).second) continue;
      marks.push_back({named.box, label, scalar(colors[i]), nesting[named.region]++});
    }
  }
  for (const auto& [box, name] : pointed_at) marks.push_back({box, name, kGiven, 0, true});
  if (masks.empty()) return draw_marks(image, marks, 1, times);
  return draw_marks(with_masks(image, answer.phrases, colors, masks), marks, 1, times);
}

Image draw_regions(const Image& image, const std::vector<Region>& regions, int times) {
  constexpr int kRoomForScores = 300 * 300;
  const bool scores = times * times * image.width() * image.height() >= kRoomForScores;
  std::vector<Mark> marks;
  for (std::size_t i = 0; i < regions.size(); ++i) {
    const Region& region = regions[i];
    std::ostringstream label;
    label << i;
    if (region.given) {
      label << " given";
    } else if (scores) {
      label << ' ' << std::fixed << std::setprecision(2) << region.score;
    }
    const cv::Scalar color = region.given ? kGiven : scalar(kPalette[i % kPalette.size()]);
    marks.push_back({region.box, label.str(), color, 0, region.given});
  }
  std::stable_partition(marks.begin(), marks.end(), [](const Mark& mark) { return mark.bold; });
  return draw_marks(image, marks, 0.8, times);
}

Image thumbnail(const Image& image, int most) {
  const int longest = std::max(image.width(), image.height());
  if (longest <= most) return image;
  const cv::Mat whole(image.height(), image.width(), CV_8UC3,
                      const_cast<std::uint8_t*>(image.data()));
  const double scale = static_cast<double>(most) / longest;
  const cv::Size size(std::max(1, static_cast<int>(image.width() * scale)),
                      std::max(1, static_cast<int>(image.height() * scale)));
  cv::Mat small;
  cv::resize(whole, small, size, 0, 0, cv::INTER_AREA);
  return Image::from_rgb(small.data, small.cols, small.rows);
}

}  // namespace groma
