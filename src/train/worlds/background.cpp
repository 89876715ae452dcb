#include "train/worlds/background.h"

#include <algorithm>
#include <cmath>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "train/worlds/texture.h"

namespace groma::train {
namespace {

constexpr float kPi = 3.14159265f;

float real(Random& random, double low, double high) {
  return static_cast<float>(random.uniform(low, high));
}

cv::Mat muted_gradient(int size, Random& random) {
  // Light, dark or anything: the four corners stay within one range so that none of it glares.
  const float low = real(random, 30, 215);
  const float high = std::min(250.0f, low + real(random, 15, 70));
  const float saturation = real(random, 0.02, 0.4);
  Color corners[4];
  for (auto& corner : corners) corner = muted_color(random, low, high, saturation);
  return corner_gradient({size, size}, corners);
}

/// Sine of the distance along a direction: soft stripes of low contrast.
cv::Mat stripes(int size, Random& random) {
  const float angle = real(random, 0, kPi);
  const float period = real(random, 6, 40) * static_cast<float>(size) / 224;
  const float sharpness = real(random, 1, 6);
  const float fx = std::cos(angle) * 2 * kPi / period;
  const float fy = std::sin(angle) * 2 * kPi / period;
  // One wave in a table: a sine for every pixel would cost more than the rest of the scene.
  constexpr int kSteps = 256;
  float wave[kSteps];
  for (int i = 0; i < kSteps; ++i) wave[i] = std::tanh(sharpness * std::sin(2 * kPi * i / kSteps));
  cv::Mat layer(size, size, CV_32F);
  for (int y = 0; y < size; ++y) {
    auto* row = layer.ptr<float>(y);
    for (int x = 0; x < size; ++x) {
      const float phase = (fx * static_cast<float>(x) + fy * static_cast<float>(y)) / (2 * kPi);
      row[x] = wave[static_cast<int>(std::floor(phase * kSteps)) & (kSteps - 1)];
    }
  }
  return layer;
}

cv::Mat dots(int size, Random& random) {
  cv::Mat layer(size, size, CV_32F, cv::Scalar(0));
  const float step = real(random, 9, 30) * static_cast<float>(size) / 224;
  const float radius = step * real(random, 0.15, 0.4);
  const bool staggered = random.chance(0.5);
  constexpr int kShift = 3;
  for (int row = 0; static_cast<float>(row) * step < static_cast<float>(size) + step; ++row) {
    const float offset = staggered && row % 2 == 1 ? step / 2 : 0;
    for (float x = offset; x < static_cast<float>(size) + step; x += step) {
      const cv::Point center(static_cast<int>(x * (1 << kShift)),
                             static_cast<int>(static_cast<float>(row) * step * (1 << kShift)));
      cv::circle(layer, center, static_cast<int>(radius * (1 << kShift)), cv::Scalar(1), cv::FILLED,
                 cv::LINE_8, kShift);
    }
  }
  return layer;
}

/// Faint lines, discs and polygons, blurred a little: nothing that could pass for an object.
cv::Mat clutter(int size, Random& random) {
  cv::Mat layer(size, size, CV_32F, cv::Scalar(0));
  const int pieces = random.between(15, 60);
  for (int i = 0; i < pieces; ++i) {
    const cv::Scalar value(random.uniform(-1, 1));
    const auto point = [&] { return cv::Point(random.below(size), random.below(size)); };
    const int sort = random.below(3);
    if (sort == 0) {
      cv::line(layer, point(), point(), value, random.between(1, 1 + size / 56));
    } else if (sort == 1) {
      cv::circle(layer, point(), random.between(size / 40, size / 6), value,
                 random.chance(0.5) ? cv::FILLED : random.between(1, 1 + size / 75));
    } else {
      const cv::Point at = point();
      std::vector<cv::Point> corners;
      for (int k = 0; k < 4; ++k) {
        corners.push_back(at + cv::Point(random.below(size / 3), random.below(size / 3)));
      }
      cv::fillConvexPoly(layer, corners, value);
    }
  }
  cv::blur(layer, layer, {3, 3});
  return layer;
}

/// Sky, clouds, one to three ranges of hills, ground that grows finer towards the horizon.
cv::Mat landscape(int size, Random& random) {
  const Color top = Color(real(random, 70, 150), real(random, 120, 190), real(random, 170, 240));
  const Color low = muted_color(random, 190, 250, 0.25f);
  const Color dusk = muted_color(random, 90, 230, 0.5f);
  const float evening = random.chance(0.35) ? real(random, 0.4, 1) : 0;
  const Color high = top * (1 - evening) + dusk * evening;
  cv::Mat picture = corner_gradient({size, size}, {high, high, low, low});
  const float grain = static_cast<float>(size) / 3;
  cv::Mat clouds = fractal_noise({size, size}, grain, 5, 0.55f, random);
  clouds = clouds * 1.5 - real(random, -0.2, 0.6);
  blend(picture, Color(235, 238, 242) * (1 - 0.3f * evening), clouds);

  const int ranges = random.between(1, 3);
  Color ground = muted_color(random, 70, 190, 0.55f);
  float horizon = static_cast<float>(size) * real(random, 0.25, 0.6);
  for (int k = 0; k < ranges; ++k) {
    const cv::Mat hills = fractal_noise({size, 1}, grain, 4, 0.5f, random);
    const float height = static_cast<float>(size) * real(random, 0.01, 0.09);
    const cv::Mat grass = noise({size, size}, real(random, 3, 14), real(random, 1.5, 4), random);
    const float rough = real(random, 6, 22);
    for (int x = 0; x < size; ++x) {
      const int edge = static_cast<int>(horizon + height * hills.at<float>(x));
      for (int y = std::max(0, edge); y < size; ++y) {
        const float depth = static_cast<float>(y - edge) / static_cast<float>(size);
        const float light = 0.85f + 0.4f * depth;
        picture.at<Color>(y, x) = ground * light + Color::all(rough * grass.at<float>(y, x));
      }
    }
    horizon += static_cast<float>(size) * real(random, 0.08, 0.25);
    ground =
        ground * real(random, 0.75, 1.1) + Color(real(random, -12, 12), real(random, -6, 14), -6);
  }
  return picture;
}

/// A wall above a table or floor with long grain.
cv::Mat room(int size, Random& random) {
  const float low = real(random, 60, 190);
  const float high = low + real(random, 10, 45);
  Color corners[4];
  for (auto& corner : corners) corner = muted_color(random, low, high, 0.22f);
  cv::Mat picture = corner_gradient({size, size}, corners);
  add_layer(picture, fractal_noise({size, size}, static_cast<float>(size) / 4, 6, 0.7f, random),
            real(random, 3, 14));
  if (random.chance(0.35)) add_layer(picture, stripes(size, random), real(random, 2, 8));

  const int edge = static_cast<int>(static_cast<float>(size) * real(random, 0.35, 0.8));
  const Color wood = Color(real(random, 100, 200), real(random, 75, 150), real(random, 50, 115));
  cv::Mat table = picture.rowRange(edge, size);
  const cv::Mat grain = noise(table.size(), real(random, 40, 120), real(random, 1.2, 3), random);
  const cv::Mat spots = fractal_noise(table.size(), static_cast<float>(size) / 5, 4, 0.6f, random);
  table.setTo(cv::Scalar(wood[0], wood[1], wood[2]));
  add_layer(table, grain, real(random, 5, 18));
  add_layer(table, spots, real(random, 4, 16));
  picture.rowRange(edge, std::min(size, edge + 2)) *= 0.7;
  return picture;
}

/// Blurred lights before a dim gradient.
cv::Mat bokeh(int size, Random& random) {
  const float low = real(random, 20, 110);
  Color corners[4];
  for (auto& corner : corners) corner = muted_color(random, low, low + 60, 0.6f);
  // Half the size is enough for what is out of focus.
  const int half = size / 2;
  cv::Mat picture = corner_gradient({half, half}, corners);
  add_layer(picture, fractal_noise({half, half}, static_cast<float>(half) / 3, 3, 0.6f, random),
            real(random, 5, 25));
  const int lights = random.between(8, 32);
  const float radius = static_cast<float>(half) * real(random, 0.03, 0.11);
  const Color tint = muted_color(random, 150, 255, 0.7f);
  for (int i = 0; i < lights; ++i) {
    const int r = std::max(2, static_cast<int>(radius * real(random, 0.6, 1.5)));
    const cv::Point center(random.below(half), random.below(half));
    const cv::Rect box = cv::Rect(center.x - r - 1, center.y - r - 1, 2 * r + 3, 2 * r + 3) &
                         cv::Rect(0, 0, half, half);
    cv::Mat disc(box.size(), CV_32F, cv::Scalar(0));
    cv::circle(disc, center - box.tl(), r, cv::Scalar(random.uniform(0.1, 0.5)), cv::FILLED);
    cv::Mat part = picture(box);
    blend(part, tint * real(random, 0.7, 1) + Color::all(real(random, 0, 30)), disc);
  }
  cv::blur(picture, picture, {3, 3});
  cv::Mat whole;
  cv::resize(picture, whole, {size, size}, 0, 0, cv::INTER_LINEAR);
  return whole;
}

/// Stone, sand, leaves, water: noise of many scales between three colours.
cv::Mat material(int size, Random& random) {
  const float base = real(random, 60, 190);
  const float saturation = real(random, 0.1, 0.5);
  const Color first = muted_color(random, base, base + 30, saturation);
  const Color second = first * real(random, 0.55, 0.85);
  const Color third = muted_color(random, base, base + 60, saturation);
  cv::Mat picture(size, size, CV_32FC3, cv::Scalar(first[0], first[1], first[2]));
  const float coarse = static_cast<float>(size) / real(random, 1.5, 8);
  blend(picture, second, fractal_noise({size, size}, coarse, 6, real(random, 0.5, 0.8), random));
  cv::Mat veins =
      noise({size, size}, coarse * real(random, 0.4, 1), coarse * real(random, 0.1, 0.4), random);
  blend(picture, third, veins * 0.6);
  return picture;
}

}  // namespace

cv::Mat shapes_background(int size, Random& random) {
  cv::Mat picture = muted_gradient(size, random);
  const float scale = static_cast<float>(size) / 224;
  switch (random.below(6)) {
    case 0:
      break;
    case 1: {
      constexpr float kGrains[] = {1, 2, 4, 8, 16, 32};
      const float grain = random.pick(kGrains) * scale;
      add_layer(picture, noise({size, size}, grain, grain, random), real(random, 8, 34));
      break;
    }
    case 2:
      add_layer(picture, fractal_noise({size, size}, 64 * scale, 5, real(random, 0.5, 0.8), random),
                real(random, 10, 40));
      break;
    case 3:
      add_layer(picture, stripes(size, random), real(random, 4, 16));
      break;
    case 4:
      add_layer(picture, dots(size, random), real(random, -18, 18));
      break;
    default:
      add_layer(picture, clutter(size, random), real(random, 8, 20));
  }
  return finish_picture(picture, random.chance(0.5) ? real(random, 0, 9) : 0, random);
}

cv::Mat things_background(int size, Random& random) {
  cv::Mat picture;
  switch (random.below(4)) {
    case 0:
      picture = landscape(size, random);
      break;
    case 1:
      picture = room(size, random);
      break;
    case 2:
      picture = bokeh(size, random);
      break;
    default:
      picture = material(size, random);
  }
  // Uneven light, as of a lamp or a lens.
  add_layer(picture,
            noise({size, size}, static_cast<float>(size), static_cast<float>(size), random),
            real(random, 0, 22));
  return finish_picture(picture, real(random, 0, 8), random);
}

}  // namespace groma::train
