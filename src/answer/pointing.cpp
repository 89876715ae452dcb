#include "groma/pointing.h"

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>

#include "check.h"
#include "image/mask_check.h"
#include "regions/box_iou.h"

namespace groma {
namespace {

constexpr std::size_t kMostPoints = 10'000;
constexpr std::size_t kMostSeeds = 16;  // points that colour is looked up at
constexpr std::size_t kRunnersUp = 5;
constexpr double kLeastOverlap = 0.5;  // of a candidate and a shape's tight box
constexpr double kLeastCovered = 0.9;  // share of the points that a candidate must hold
constexpr float kSlack = 0.02f;  // of the picture's longer side: how uncertain a box's edges are

// Weights of what speaks for a candidate: a logistic choice among those that hold a click, fitted
// on drawn scenes apart from those that README's figures are measured on, and rounded.
constexpr double kScoreWeight = 1;
constexpr double kAreaWeight = 1.5;
constexpr double kAwayWeight = 1.5;
constexpr double kColorWeight = 2;
constexpr double kColorFloor = 0.2;  // so that colours alone never decide
constexpr double kBesidePenalty = 4;

const char* name_of(Pointing::Kind kind) {
  constexpr const char* kNames[] = {"click", "scribble", "polygon", "mask"};
  return kNames[static_cast<int>(kind)];
}

void check_points(const std::vector<Point>& points, const char* doing, const Image& image) {
  require(points.size() <= kMostPoints, "point at something: the ", doing, " has ", points.size(),
          " points, at most ", kMostPoints, " are taken; leave some out");
  for (std::size_t i = 0; i < points.size(); ++i) {
    const auto [x, y] = points[i];
    // Written so that NaN fails.
    require(x >= 0 && y >= 0 && x <= static_cast<float>(image.width()) &&
                y <= static_cast<float>(image.height()),
            "point at something: point ", i + 1, " of the ", doing, " (", x, ", ", y,
            ") leaves the picture, which is ", image.width(), " x ", image.height(),
            " pixels; give points inside it");
  }
}

/// On which side of the line through a and b a point lies.
double side_of(const Point& a, const Point& b, const Point& p) {
  return (static_cast<double>(b.x) - a.x) * (static_cast<double>(p.y) - a.y) -
         (static_cast<double>(b.y) - a.y) * (static_cast<double>(p.x) - a.x);
}

bool cross(const Point& a, const Point& b, const Point& c, const Point& d) {
  const auto apart = [](float a1, float a2, float b1, float b2) {
    return std::max(a1, a2) < std::min(b1, b2) || std::max(b1, b2) < std::min(a1, a2);
  };
  if (apart(a.x, b.x, c.x, d.x) || apart(a.y, b.y, c.y, d.y)) return false;
  return side_of(a, b, c) * side_of(a, b, d) <= 0 && side_of(c, d, a) * side_of(c, d, b) <= 0;
}

/// The corners without repeated neighbours, checked to be the outline of one piece.
std::vector<Point> checked_corners(const std::vector<Point>& points) {
  std::vector<Point> corners;
  const auto same = [](const Point& a, const Point& b) { return a.x == b.x && a.y == b.y; };
  for (const auto& point : points) {
    if (corners.empty() || !same(corners.back(), point)) corners.push_back(point);
  }
  while (corners.size() > 1 && same(corners.front(), corners.back())) corners.pop_back();
  const auto n = corners.size();
  require(n >= 3, "point at something: the polygon has ", n,
          " different corners; give three or more");
  const bool line = std::all_of(corners.begin(), corners.end(), [&](const Point& at) {
    return side_of(corners[0], corners[1], at) == 0;
  });
  require(!line, "point at something: the polygon is a line; give corners around it");
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = i + 2; k < n; ++k) {
      if (i == 0 && k == n - 1) continue;  // neighbours
      require(!cross(corners[i], corners[i + 1], corners[k], corners[(k + 1) % n]),
              "point at something: sides ", i + 1, " and ", k + 1,
              " of the polygon meet; give corners in order around it");
    }
  }
  return corners;
}

void check(const Pointing& pointing, const Image& image) {
  const auto* name = name_of(pointing.kind);
  if (pointing.kind == Pointing::Kind::kMask) {
    check_mask(pointing.mask, image, "point at something: the mask");
    return;
  }
  check_points(pointing.points, name, image);
  check_points(pointing.outside, "points beside it", image);
  require(!pointing.points.empty(), "point at something: the ", name,
          " has no point that lies on it; give at least one");
}

/// How far a point lies from the middle of a box: 1 on the ellipse that touches its sides.
double away_from_middle(const Box& box, const Point& at) {
  return std::hypot((2.0 * at.x - box.x1 - box.x2) / std::max(1e-6f, box.x2 - box.x1),
                    (2.0 * at.y - box.y1 - box.y2) / std::max(1e-6f, box.y2 - box.y1));
}

/// Whether a point lies in a box, or not further than `slack` from it.
bool holds(const Box& box, const Point& at, float slack = 0) {
  return at.x >= box.x1 - slack && at.x <= box.x2 + slack && at.y >= box.y1 - slack &&
         at.y <= box.y2 + slack;
}

/// The points themselves, or points at equal distances along the line.
std::vector<Point> samples_of(const Pointing& pointing) {
  const auto& points = pointing.points;
  if (pointing.kind == Pointing::Kind::kPoints || points.size() < 2) return points;
  constexpr int kSamples = 64;
  std::vector<double> way = {0};
  for (std::size_t i = 1; i < points.size(); ++i) {
    way.push_back(way.back() +
                  std::hypot(points[i].x - points[i - 1].x, points[i].y - points[i - 1].y));
  }
  std::vector<Point> samples;
  for (std::size_t k = 0, i = 1; k < kSamples; ++k) {
    const double wanted = way.back() * static_cast<double>(k) / (kSamples - 1);
    while (i + 1 < way.size() && way[i] < wanted) ++i;
    const double step = way[i] - way[i - 1];
    const auto part = static_cast<float>(step > 0 ? (wanted - way[i - 1]) / step : 0);
    samples.push_back({points[i - 1].x + part * (points[i].x - points[i - 1].x),
                       points[i - 1].y + part * (points[i].y - points[i - 1].y)});
  }
  return samples;
}

/// Pixels of the colours under the points, as sums over rectangles.
class LikePixels {
 public:
  LikePixels(const Image& image, const std::vector<Point>& samples) {
    constexpr double kLongestSide = 448;
    constexpr double kAlike = 8, kSurface = 30;  // of each channel of Lab
    const cv::Mat rgb(image.height(), image.width(), CV_8UC3,
                      const_cast<std::uint8_t*>(image.data()));
    scale_ = std::min(1.0, kLongestSide / std::max(rgb.cols, rgb.rows));
    cv::Mat lab;
    cv::resize(rgb, lab, {}, scale_, scale_, cv::INTER_AREA);
    cv::cvtColor(lab, lab, cv::COLOR_RGB2Lab);
    cv::Mat alike(lab.size(), CV_8UC1, cv::Scalar(0)), of_one;
    cv::Mat filled(lab.rows + 2, lab.cols + 2, CV_8UC1, cv::Scalar(0));
    const auto step = std::max<std::size_t>(1, samples.size() / kMostSeeds);
    for (std::size_t i = 0; i < samples.size(); i += step) {
      const cv::Point seed(std::min(lab.cols - 1, static_cast<int>(samples[i].x * scale_)),
                           std::min(lab.rows - 1, static_cast<int>(samples[i].y * scale_)));
      const auto at = lab.at<cv::Vec3b>(seed);
      const cv::Scalar color(at[0], at[1], at[2]);
      cv::inRange(lab, color - cv::Scalar::all(kAlike), color + cv::Scalar::all(kAlike), of_one);
      alike |= of_one & 1;
      cv::floodFill(lab, filled, seed, {}, nullptr, cv::Scalar::all(kSurface),
                    cv::Scalar::all(kSurface),
                    4 | cv::FLOODFILL_FIXED_RANGE | cv::FLOODFILL_MASK_ONLY);
    }
    cv::integral(alike, alike_, CV_32S);
    cv::integral(filled(cv::Rect(1, 1, lab.cols, lab.rows)), surface_, CV_32S);
  }

  /// The share, of all pixels of nearly such a colour, that lies in a box.
  double alike_in(const Box& box) const { return share_in(box, alike_); }

  /// The share in a box of the surface of roughly such colours that the points lie on.
  double surface_in(const Box& box) const { return share_in(box, surface_); }

 private:
  double share_in(const Box& box, const cv::Mat& sums) const {
    const auto place = [&](float value, int most) {
      return std::clamp(static_cast<int>(std::lround(value * scale_)), 0, most);
    };
    const int columns = sums.cols - 1, rows = sums.rows - 1;
    const int left = place(box.x1, columns), right = place(box.x2, columns);
    const int top = place(box.y1, rows), bottom = place(box.y2, rows);
    const int sum = sums.at<int>(bottom, right) - sums.at<int>(top, right) -
                    sums.at<int>(bottom, left) + sums.at<int>(top, left);
    return static_cast<double>(sum) / std::max(1, sums.at<int>(rows, columns));
  }

  double scale_ = 1;
  cv::Mat alike_, surface_;
};

/// Fits of the candidates that hold the points: shares of one.
std::vector<Fit> fits_of_points(const Pointing& pointing, const std::vector<Region>& candidates,
                                const Image& image) {
  const auto samples = samples_of(pointing);
  const LikePixels like(image, samples);
  const double picture = static_cast<double>(image.width()) * image.height();
  const float slack = kSlack * static_cast<float>(std::max(image.width(), image.height()));
  std::vector<Fit> fits;
  std::vector<double> logs;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const auto& [box, score, given] = candidates[i];
    const auto held =
        std::count_if(samples.begin(), samples.end(),
                      [&, &box = box](const Point& at) { return holds(box, at, slack); });
    if (static_cast<double>(held) < kLeastCovered * static_cast<double>(samples.size())) continue;
    double away = 0, beside = 0;
    for (const auto& at : samples) away += away_from_middle(box, at);
    away /= static_cast<double>(samples.size());
    for (const auto& at : pointing.outside) {
      beside += holds(box, at) ? 1.5 - away_from_middle(box, at) : 0;  // 1.41 at a corner
    }
    const double area = (static_cast<double>(box.x2) - box.x1) * (box.y2 - box.y1) / picture;
    logs.push_back(kScoreWeight * std::log(score + 1e-6) - kAreaWeight * std::log(area + 1e-6) -
                   kAwayWeight * away + kColorWeight * std::log(kColorFloor + like.alike_in(box)) +
                   kColorWeight * std::log(kColorFloor + like.surface_in(box)) -
                   kBesidePenalty * beside);
    fits.push_back({static_cast<int>(i), 0});
  }
  if (logs.empty()) return fits;
  const double most = *std::max_element(logs.begin(), logs.end());
  double all = 0;
  for (const double log : logs) all += std::exp(log - most);
  for (std::size_t i = 0; i < fits.size(); ++i) {
    fits[i].fit = static_cast<float>(std::exp(logs[i] - most) / all);
  }
  return fits;
}

std::vector<Fit> fits_of_shape(const Box& tight, const std::vector<Region>& candidates) {
  std::vector<Fit> fits;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const auto fit = box_iou(candidates[i].box, tight);
    if (fit >= kLeastOverlap) fits.push_back({static_cast<int>(i), static_cast<float>(fit)});
  }
  return fits;
}

/// The box around points; never thinner than a pixel, and a quarter of the picture's sides for one.
Box own_box(const std::vector<Point>& points, const Image& image) {
  const auto w = static_cast<float>(image.width()), h = static_cast<float>(image.height());
  Box box = {w, h, 0, 0};
  for (const auto& at : points) {
    box = {std::min(box.x1, at.x), std::min(box.y1, at.y), std::max(box.x2, at.x),
           std::max(box.y2, at.y)};
  }
  const float half_x = points.size() == 1 ? w / 8 : 0.5f,
              half_y = points.size() == 1 ? h / 8 : 0.5f;
  return {std::max(0.f, box.x1 - half_x), std::max(0.f, box.y1 - half_y),
          std::min(w, box.x2 + half_x), std::min(h, box.y2 + half_y)};
}

}  // namespace

std::optional<Mask> mask_of(const Pointing& pointing, const Image& image) {
  check(pointing, image);
  if (pointing.kind == Pointing::Kind::kMask) return pointing.mask;
  if (pointing.kind != Pointing::Kind::kPolygon) return std::nullopt;
  constexpr int kFraction = 4;  // bits: OpenCV takes corners in sixteenths of a pixel
  std::vector<cv::Point> corners;
  for (const auto& at : checked_corners(pointing.points)) {
    corners.emplace_back(cvRound((at.x - 0.5f) * (1 << kFraction)),
                         cvRound((at.y - 0.5f) * (1 << kFraction)));
  }
  Mask mask{image.width(), image.height(), {}};
  mask.inside.resize(static_cast<std::size_t>(mask.width) * mask.height);
  cv::Mat picture(mask.height, mask.width, CV_8UC1, mask.inside.data());
  cv::fillPoly(picture, std::vector<std::vector<cv::Point>>{corners}, cv::Scalar(1), cv::LINE_8,
               kFraction);
  return mask;
}

Pointed point_at(const Pointing& pointing, const std::vector<Region>& candidates,
                 const Image& image) {
  const auto mask = mask_of(pointing, image);
  Pointed pointed;
  pointed.box = mask ? tight_box(*mask) : own_box(pointing.points, image);
  auto fits =
      mask ? fits_of_shape(pointed.box, candidates) : fits_of_points(pointing, candidates, image);
  if (fits.empty()) return pointed;
  std::stable_sort(fits.begin(), fits.end(),
                   [](const Fit& a, const Fit& b) { return a.fit > b.fit; });
  pointed.candidate = fits.front().candidate;
  pointed.box = candidates[pointed.candidate].box;
  pointed.fit = fits.front().fit;
  pointed.next.assign(fits.begin() + 1, fits.begin() + std::min(fits.size(), kRunnersUp + 1));
  return pointed;
}

}  // namespace groma
