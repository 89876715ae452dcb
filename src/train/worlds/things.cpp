#include "train/worlds/things.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <mutex>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "check.h"
#include "train/worlds/paint.h"
#include "train/worlds/pictograms.h"

namespace groma::train {
namespace {

struct Entry {
  std::uint32_t character;
  const char* kind;
  bool paintable = false;
};

constexpr bool kPaintable = true;

// Kinds that are told apart at 20 pixels and have a name of one word.
constexpr Entry kEntries[] = {
    {0x1F415, "dog"},
    {0x1F408, "cat"},
    {0x1F40E, "horse"},
    {0x1F404, "cow"},
    {0x1F416, "pig"},
    {0x1F411, "sheep"},
    {0x1F418, "elephant"},
    {0x1F401, "mouse"},
    {0x1F407, "rabbit"},
    {0x1F413, "rooster"},
    {0x1F986, "duck"},
    {0x1F989, "owl"},
    {0x1F427, "penguin"},
    {0x1F422, "turtle"},
    {0x1F40D, "snake"},
    {0x1F41F, "fish", kPaintable},
    {0x1F980, "crab", kPaintable},
    {0x1F40C, "snail"},
    {0x1F98B, "butterfly", kPaintable},
    {0x1F41D, "bee"},
    {0x1F438, "frog"},
    {0x1F981, "lion"},
    {0x1F405, "tiger"},
    {0x1F43B, "bear"},
    {0x1F412, "monkey"},
    {0x1F992, "giraffe"},
    {0x1F993, "zebra"},
    {0x1F433, "whale"},
    {0x1F988, "shark"},
    {0x1F99C, "parrot"},
    {0x1F9A9, "flamingo"},
    {0x1F41E, "ladybug"},
    {0x1F984, "unicorn"},
    {0x1F333, "tree"},
    {0x1F334, "palm"},
    {0x1F335, "cactus"},
    {0x1F33B, "sunflower"},
    {0x1F337, "tulip", kPaintable},
    {0x1F344, "mushroom", kPaintable},
    {0x1F34E, "apple", kPaintable},
    {0x1F34C, "banana"},
    {0x1F34B, "lemon"},
    {0x1F350, "pear", kPaintable},
    {0x1F352, "cherry"},
    {0x1F353, "strawberry"},
    {0x1F34D, "pineapple"},
    {0x1F349, "watermelon"},
    {0x1F955, "carrot"},
    {0x1F346, "eggplant"},
    {0x1F951, "avocado"},
    {0x1F354, "burger"},
    {0x1F355, "pizza"},
    {0x1F382, "cake"},
    {0x1F369, "donut"},
    {0x1F697, "car", kPaintable},
    {0x1F68C, "bus"},
    {0x1F69A, "truck"},
    {0x1F6B2, "bicycle"},
    {0x1F3CD, "motorcycle", kPaintable},
    {0x1F682, "train"},
    {0x2708, "airplane", kPaintable},
    {0x1F681, "helicopter", kPaintable},
    {0x1F680, "rocket", kPaintable},
    {0x26F5, "boat", kPaintable},
    {0x1F69C, "tractor"},
    {0x1F3E0, "house"},
    {0x1F3F0, "castle"},
    {0x26FA, "tent", kPaintable},
    {0x1FA91, "chair", kPaintable},
    {0x1F6CF, "bed"},
    {0x1F6CB, "couch"},
    {0x1F6AA, "door", kPaintable},
    {0x1F4A1, "bulb"},
    {0x23F0, "clock", kPaintable},
    {0x1F4F7, "camera"},
    {0x1F4FA, "television"},
    {0x1F4D5, "book", kPaintable},
    {0x270F, "pencil"},
    {0x1F511, "key", kPaintable},
    {0x1F512, "lock", kPaintable},
    {0x2602, "umbrella", kPaintable},
    {0x26BD, "ball"},
    {0x1F3C0, "basketball"},
    {0x1F3B8, "guitar", kPaintable},
    {0x1F388, "balloon", kPaintable},
    {0x1F381, "gift"},
    {0x1F451, "crown"},
    {0x1F3A9, "hat"},
    {0x1F455, "shirt", kPaintable},
    {0x1F457, "dress", kPaintable},
    {0x1F45F, "shoe", kPaintable},
    {0x1F462, "boot", kPaintable},
    {0x1F9E2, "cap", kPaintable},
    {0x1F392, "backpack", kPaintable},
    {0x1F45C, "handbag", kPaintable},
    {0x2615, "cup"},
    {0x1FAD6, "teapot", kPaintable},
    {0x1FAA3, "bucket", kPaintable},
    {0x1F514, "bell", kPaintable},
    {0x26C4, "snowman"},
    {0x1F916, "robot"},
    {0x1F47B, "ghost"},
    {0x1F3AF, "target"},
    {0x1F30D, "globe"},
    {0x1F4E6, "box"},
};

/// Halves the picture until it is about 17 pixels large.
Levels levels_of(const cv::Mat& straight) {
  cv::Mat level(straight.size(), CV_8UC4);
  for (int y = 0; y < straight.rows; ++y) {
    for (int x = 0; x < straight.cols; ++x) {
      const auto& from = straight.at<cv::Vec4b>(y, x);
      auto& to = level.at<cv::Vec4b>(y, x);
      for (int c = 0; c < 3; ++c) to[c] = static_cast<uchar>((from[c] * from[3] + 127) / 255);
      to[3] = from[3];
    }
  }
  Levels levels{level};
  for (int i = 0; i < 3; ++i) {
    cv::Mat half;
    cv::resize(levels.back(), half, {}, 0.5, 0.5, cv::INTER_AREA);
    levels.push_back(half);
  }
  return levels;
}

std::vector<cv::Point2f> hull_of(const cv::Mat& straight) {
  std::vector<cv::Point> opaque;
  for (int y = 0; y < straight.rows; ++y) {
    for (int x = 0; x < straight.cols; ++x) {
      if (straight.at<cv::Vec4b>(y, x)[3] < kHalfCovered) continue;
      // Both corners of the pixel across, so that the hull holds its whole area.
      opaque.insert(opaque.end(), {{x, y}, {x + 1, y}, {x, y + 1}, {x + 1, y + 1}});
    }
  }
  std::vector<cv::Point> hull;
  cv::convexHull(opaque, hull);
  return {hull.begin(), hull.end()};
}

std::vector<Thing> read_things(const std::string& font) {
  std::vector<std::uint32_t> characters;
  for (const auto& entry : kEntries) characters.push_back(entry.character);
  const std::vector<cv::Mat> pictures = read_pictograms(font, characters);
  std::vector<Thing> things;
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    Thing thing;
    thing.kind = kEntries[i].kind;
    thing.paintable = kEntries[i].paintable;
    thing.plain = levels_of(pictures[i]);
    thing.hull = hull_of(pictures[i]);
    for (std::size_t c = 0; thing.paintable && c < kColors.size(); ++c) {
      thing.painted[c] = levels_of(painted(pictures[i], std::string(kColors[c])));
    }
    things.push_back(std::move(thing));
  }
  return things;
}

const Levels& levels_in(const Thing& thing, const std::string& color) {
  const auto word = std::find(kColors.begin(), kColors.end(), color);
  return word == kColors.end() ? thing.plain : thing.painted[word - kColors.begin()];
}

}  // namespace

const std::vector<std::string>& thing_kinds() {
  static const std::vector<std::string> kinds = [] {
    std::vector<std::string> words;
    for (const auto& entry : kEntries) words.emplace_back(entry.kind);
    return words;
  }();
  return kinds;
}

const std::vector<Thing>& things_of(const std::string& font) {
  static std::mutex mutex;
  static std::map<std::string, std::unique_ptr<const std::vector<Thing>>> known;
  const std::string path = emoji_font(font);
  const std::lock_guard lock(mutex);
  auto& things = known[path];
  if (!things) things = std::make_unique<const std::vector<Thing>>(read_things(path));
  return *things;
}

Sprite thing_sprite(const Thing& thing, const std::string& color, float side, Random& random) {
  const double angle = random.uniform(-0.45, 0.45);
  const bool mirrored = random.chance(0.5);
  const auto light = static_cast<float>(random.uniform(0.86, 1.08));
  cv::Matx22d turn(std::cos(angle), -std::sin(angle), std::sin(angle), std::cos(angle));
  if (mirrored) turn = turn * cv::Matx22d(-1, 0, 0, 1);

  cv::Vec2d low(1e9, 1e9);
  cv::Vec2d high(-1e9, -1e9);
  for (const auto& point : thing.hull) {
    const cv::Vec2d at = turn * cv::Vec2d(point.x, point.y);
    for (int i = 0; i < 2; ++i) {
      low[i] = std::min(low[i], at[i]);
      high[i] = std::max(high[i], at[i]);
    }
  }
  const double scale = (side - 0.5) / std::max(high[0] - low[0], high[1] - low[1]);
  const Levels& levels = levels_in(thing, color);
  int level = 0;
  while (level + 1 < static_cast<int>(levels.size()) && scale * (2 << level) <= 1) ++level;

  // From a point of the level to one of the sprite, in pixel corners; warpAffine wants centres.
  const cv::Matx22d linear = turn * (scale * (1 << level));
  const cv::Vec2d offset =
      low * -scale + cv::Vec2d(1, 1) + linear * cv::Vec2d(0.5, 0.5) - cv::Vec2d(0.5, 0.5);
  const cv::Matx23d warp(linear(0, 0), linear(0, 1), offset[0], linear(1, 0), linear(1, 1),
                         offset[1]);
  const cv::Size size(static_cast<int>(std::ceil((high[0] - low[0]) * scale)) + 2,
                      static_cast<int>(std::ceil((high[1] - low[1]) * scale)) + 2);
  cv::Mat picture;
  cv::warpAffine(levels[level], picture, warp, size, cv::INTER_LINEAR);

  Sprite sprite{cv::Mat(size, CV_8UC3), cv::Mat(size, CV_8U)};
  for (int y = 0; y < size.height; ++y) {
    for (int x = 0; x < size.width; ++x) {
      const auto& from = picture.at<cv::Vec4b>(y, x);
      sprite.coverage.at<uchar>(y, x) = from[3];
      auto& to = sprite.color.at<cv::Vec3b>(y, x);
      const float share = from[3] == 0 ? 0 : light * 255.0f / static_cast<float>(from[3]);
      for (int c = 0; c < 3; ++c) to[c] = cv::saturate_cast<uchar>(from[c] * share);
    }
  }
  return trimmed(sprite);
}

Color mean_color(const Thing& thing, const std::string& color) {
  const cv::Scalar sum = cv::sum(levels_in(thing, color).back());
  const double alpha = std::max(1.0, sum[3]) / 255;
  return {static_cast<float>(sum[0] / alpha), static_cast<float>(sum[1] / alpha),
          static_cast<float>(sum[2] / alpha)};
}

}  // namespace groma::train
