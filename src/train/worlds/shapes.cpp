#include "train/worlds/shapes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "check.h"
#include "train/worlds/words.h"

namespace groma::train {
namespace {

constexpr double kPi = 3.14159265358979;
constexpr int kSupersampling = 4;

using Outline = std::vector<cv::Point2d>;

Outline circle() {
  Outline points;
  for (int i = 0; i < 72; ++i) points.emplace_back(std::cos(i * kPi / 36), std::sin(i * kPi / 36));
  return points;
}

Outline star(Random& random) {
  const double inner = random.uniform(0.42, 0.5);
  Outline points;
  for (int i = 0; i < 10; ++i) {
    const double radius = i % 2 == 0 ? 1 : inner;
    points.emplace_back(radius * std::sin(i * kPi / 5), -radius * std::cos(i * kPi / 5));
  }
  return points;
}

Outline heart() {
  Outline points;
  for (int i = 0; i < 60; ++i) {
    const double t = i * kPi / 30;
    const double y = 13 * std::cos(t) - 5 * std::cos(2 * t) - 2 * std::cos(3 * t) - std::cos(4 * t);
    points.emplace_back(std::pow(std::sin(t), 3), -y / 16);
  }
  return points;
}

Outline cross(Random& random) {
  const double arm = random.uniform(0.3, 0.38);
  return {{-arm, -1}, {arm, -1}, {arm, -arm}, {1, -arm}, {1, arm},   {arm, arm},
          {arm, 1},   {-arm, 1}, {-arm, arm}, {-1, arm}, {-1, -arm}, {-arm, -arm}};
}

/// The unit disc less a disc that is moved to the right: a crescent open to the right.
Outline moon(Random& random) {
  const double shift = random.uniform(0.5, 0.62);
  const double radius = random.uniform(0.84, 0.92);
  const double x = (1 + shift * shift - radius * radius) / (2 * shift);  // where the circles cross
  const double from = std::acos(x);
  const double inner = std::acos((x - shift) / radius);
  Outline points;
  constexpr int kSteps = 36;
  for (int i = 0; i <= kSteps; ++i) {
    const double t = from + (2 * kPi - 2 * from) * i / kSteps;
    points.emplace_back(std::cos(t), std::sin(t));
  }
  for (int i = 1; i < kSteps; ++i) {
    const double t = -inner + (2 * inner - 2 * kPi) * i / kSteps;
    points.emplace_back(shift + radius * std::cos(t), radius * std::sin(t));
  }
  return points;
}

Outline arrow(Random& random) {
  const double shaft = random.uniform(0.22, 0.3);
  const double head = random.uniform(-0.05, 0.15);
  const double wing = random.uniform(0.65, 0.8);
  return {{-1, -shaft}, {head, -shaft}, {head, -wing}, {1, 0},
          {head, wing}, {head, shaft},  {-1, shaft}};
}

/// Outline around the origin, turned as far as the kind remains what its name says.
Outline outline_of(const std::string& kind, Random& random) {
  Outline points;
  double turn = 0.4;  // radians to either side
  if (kind == "circle") {
    points = circle();
  } else if (kind == "square") {
    points = {{-1, -1}, {1, -1}, {1, 1}, {-1, 1}};
    turn = 0.3;
  } else if (kind == "triangle") {
    points = {{0, -random.uniform(0.9, 1.1)}, {0.95, 0.7}, {-0.95, 0.7}};
    turn = 0.5;
  } else if (kind == "star") {
    points = star(random);
    turn = kPi;
  } else if (kind == "heart") {
    points = heart();
  } else if (kind == "cross") {
    points = cross(random);
  } else if (kind == "moon") {
    points = moon(random);
    turn = kPi;
  } else {
    require(kind == "arrow", "draw a shape: no kind '", kind, "'; take one of kShapeKinds");
    points = arrow(random);
    turn = kPi;
  }
  const double angle = random.uniform(-turn, turn);
  for (auto& point : points) {
    point = {point.x * std::cos(angle) - point.y * std::sin(angle),
             point.x * std::sin(angle) + point.y * std::cos(angle)};
  }
  return points;
}

/// Moves and scales the outline so that its bounding box starts at 0, 0 and is `side` long.
cv::Size2d fit(Outline& points, double side) {
  cv::Point2d low = points[0];
  cv::Point2d high = points[0];
  for (const auto& p : points) {
    low = {std::min(low.x, p.x), std::min(low.y, p.y)};
    high = {std::max(high.x, p.x), std::max(high.y, p.y)};
  }
  const double scale = side / std::max(high.x - low.x, high.y - low.y);
  for (auto& p : points) p = (p - low) * scale;
  return {(high.x - low.x) * scale, (high.y - low.y) * scale};
}

/// Share of each pixel inside the outline and, apart, the share within `border` pixels of its edge.
struct Coverage {
  cv::Mat inside;
  cv::Mat edge;
};

Coverage rasterize(const Outline& points, cv::Size size, double border) {
  constexpr int kShift = 4;
  std::vector<cv::Point> corners;
  for (const auto& p : points) {
    const double unit = kSupersampling * (1 << kShift);
    corners.emplace_back(static_cast<int>(std::lround(p.x * unit)),
                         static_cast<int>(std::lround(p.y * unit)));
  }
  const cv::Size fine(size.width * kSupersampling, size.height * kSupersampling);
  cv::Mat inside(fine, CV_8U, cv::Scalar(0));
  cv::fillPoly(inside, std::vector<std::vector<cv::Point>>{corners}, cv::Scalar(255), cv::LINE_8,
               kShift);
  Coverage result;
  cv::resize(inside, result.inside, size, 0, 0, cv::INTER_AREA);
  if (border > 0) {
    cv::Mat edge(fine, CV_8U, cv::Scalar(0));
    const int width = static_cast<int>(std::lround(2 * border * kSupersampling));
    cv::polylines(edge, std::vector<std::vector<cv::Point>>{corners}, true, cv::Scalar(255), width,
                  cv::LINE_8, kShift);
    cv::bitwise_and(edge, inside, edge);
    cv::resize(edge, result.edge, size, 0, 0, cv::INTER_AREA);
  }
  return result;
}

/// Share of `ink` in each pixel of a striped shape; anti-aliased along the stripes' normal.
cv::Mat stripe_ink(cv::Size size, float side, Random& random) {
  const float period = std::clamp(side / static_cast<float>(random.uniform(4.2, 5.5)), 4.6f, 18.0f);
  const double angle = random.uniform(0, kPi);
  const auto nx = static_cast<float>(std::cos(angle));
  const auto ny = static_cast<float>(std::sin(angle));
  const auto phase = static_cast<float>(random.uniform(0, period));
  const float half_ink = period * 0.29f;
  cv::Mat ink(size, CV_32F);
  for (int y = 0; y < size.height; ++y) {
    auto* row = ink.ptr<float>(y);
    for (int x = 0; x < size.width; ++x) {
      const float along = nx * static_cast<float>(x) + ny * static_cast<float>(y) + phase;
      const float from_center = std::abs(along - period * std::floor(along / period + 0.5f));
      row[x] = std::clamp(half_ink - from_center + 0.5f, 0.0f, 1.0f);
    }
  }
  return ink;
}

cv::Vec3b to_bytes(const Color& color) {
  return {cv::saturate_cast<uchar>(color[0]), cv::saturate_cast<uchar>(color[1]),
          cv::saturate_cast<uchar>(color[2])};
}

}  // namespace

Color named_color(const std::string& word) {
  static const std::array<Color, kColors.size()> kTypical{
      Color(216, 36, 36),  Color(247, 139, 20), Color(246, 222, 40), Color(46, 155, 58),
      Color(48, 208, 214), Color(38, 78, 206),  Color(128, 52, 168), Color(247, 132, 190)};
  for (std::size_t i = 0; i < kColors.size(); ++i) {
    if (kColors[i] == word) return kTypical[i];
  }
  require(false, "draw in a colour: no colour '", word, "'; take one of kColors");
  return {};
}

Sprite shape_sprite(const ShapeLook& look, const Color& paper, Random& random) {
  Outline points = outline_of(look.kind, random);
  const cv::Size2d exact = fit(points, look.side - 0.5);
  const cv::Size size(static_cast<int>(std::ceil(exact.width + 0.5)),
                      static_cast<int>(std::ceil(exact.height + 0.5)));
  const bool outlined = look.texture == "outlined";
  const double border = outlined ? std::max(1.9, 0.095 * look.side) : 0;
  const Coverage cover = rasterize(points, size, border);

  Color ink = named_color(look.color) * static_cast<float>(random.uniform(0.9, 1.04));
  for (int c = 0; c < 3; ++c) ink[c] += static_cast<float>(random.uniform(-9, 9));
  Sprite sprite{cv::Mat(size, CV_8UC3), cover.inside};
  cv::Mat share(size, CV_32F, cv::Scalar(1));
  if (outlined) cover.edge.convertTo(share, CV_32F, 1 / 255.0);
  if (look.texture == "striped") share = stripe_ink(size, look.side, random);
  for (int y = 0; y < size.height; ++y) {
    for (int x = 0; x < size.width; ++x) {
      const float inside = outlined ? static_cast<float>(cover.inside.at<uchar>(y, x)) / 255 : 1;
      // At the rim the border's share counts against the part of the pixel that is inside.
      const float part = std::min(1.0f, share.at<float>(y, x) / std::max(inside, 1e-3f));
      sprite.color.at<cv::Vec3b>(y, x) = to_bytes(paper + (ink - paper) * part);
    }
  }
  return trimmed(sprite);
}

}  // namespace groma::train
