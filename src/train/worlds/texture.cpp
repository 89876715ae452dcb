#include "train/worlds/texture.h"

#include <algorithm>
#include <cmath>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

namespace groma::train {

Color muted_color(Random& random, float low_value, float high_value, float saturation) {
  const auto value = static_cast<float>(random.uniform(low_value, high_value));
  Color color;
  for (int c = 0; c < 3; ++c) {
    color[c] = value * (1 - saturation * static_cast<float>(random.uniform()));
  }
  return color * (value / std::max({color[0], color[1], color[2]}));
}

cv::Mat noise(cv::Size size, float grain_x, float grain_y, Random& random) {
  const cv::Size cells(std::max(1, static_cast<int>(std::lround(size.width / grain_x))) + 1,
                       std::max(1, static_cast<int>(std::lround(size.height / grain_y))) + 1);
  cv::Mat grid(cells, CV_32F);
  for (auto at = grid.begin<float>(); at != grid.end<float>();) {
    // Four values of 16 bits from one draw: whole-picture noise would otherwise dominate the cost.
    std::uint64_t bits = random.next();
    for (int i = 0; i < 4 && at != grid.end<float>(); ++i, bits >>= 16) {
      *at++ = static_cast<float>(bits & 0xffff) * (2.0f / 65536) - 1;
    }
  }
  if (grain_x <= 1 && grain_y <= 1) return grid(cv::Rect({0, 0}, size));
  cv::Mat smooth;
  cv::resize(grid, smooth, size, 0, 0, cv::INTER_LINEAR);
  return smooth;
}

cv::Mat fractal_noise(cv::Size size, float grain, int octaves, float falloff, Random& random) {
  cv::Mat sum = noise(size, grain, grain, random);
  float weight = 1;
  float total = 1;
  for (int i = 1; i < octaves && grain > 1; ++i) {
    grain /= 2;
    weight *= falloff;
    total += weight;
    cv::scaleAdd(noise(size, grain, grain, random), weight, sum, sum);
  }
  return sum * (1.6 / total);
}

cv::Mat corner_gradient(cv::Size size, const Color (&corners)[4]) {
  cv::Mat picture(size, CV_32FC3);
  for (int y = 0; y < size.height; ++y) {
    const float v = (static_cast<float>(y) + 0.5f) / static_cast<float>(size.height);
    const Color from = corners[0] * (1 - v) + corners[2] * v;
    const Color step =
        ((corners[1] * (1 - v) + corners[3] * v) - from) * (1.0f / static_cast<float>(size.width));
    auto* row = picture.ptr<Color>(y);
    for (int x = 0; x < size.width; ++x) row[x] = from + step * (static_cast<float>(x) + 0.5f);
  }
  return picture;
}

void add_layer(cv::Mat& picture, const cv::Mat& layer, float amount) {
  for (int y = 0; y < picture.rows; ++y) {
    auto* row = picture.ptr<float>(y);
    const auto* add = layer.ptr<float>(y);
    for (int x = 0; x < picture.cols; ++x) {
      const float value = amount * add[x];
      row[3 * x] += value;
      row[3 * x + 1] += value;
      row[3 * x + 2] += value;
    }
  }
}

void blend(cv::Mat& picture, const Color& color, const cv::Mat& weight) {
  for (int y = 0; y < picture.rows; ++y) {
    auto* row = picture.ptr<Color>(y);
    const auto* part = weight.ptr<float>(y);
    for (int x = 0; x < picture.cols; ++x) {
      const float w = std::clamp(part[x], 0.0f, 1.0f);
      row[x] += (color - row[x]) * w;
    }
  }
}

cv::Mat finish_picture(const cv::Mat& picture, float grain, Random& random) {
  cv::Mat grained = picture;
  if (grain > 0.5f) add_layer(grained, noise(picture.size(), 1, 1, random), grain);
  cv::Mat result;
  grained.convertTo(result, CV_8U);
  return result;
}

}  // namespace groma::train
