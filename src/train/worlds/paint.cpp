#include "train/worlds/paint.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "train/worlds/shapes.h"

namespace groma::train {
namespace {

constexpr float kLeastSaturation = 0.12f;
constexpr float kHueReach = 34;  // degrees from the prevailing hue that are painted

struct Hsv {
  float hue;  // degrees
  float saturation;
  float value;
};

Hsv to_hsv(const Color& color) {
  const cv::Mat3f pixel(1, 1, color * (1 / 255.0f));
  cv::Mat3f hsv;
  cv::cvtColor(pixel, hsv, cv::COLOR_RGB2HSV);
  return {hsv(0, 0)[0], hsv(0, 0)[1], hsv(0, 0)[2]};
}

float hue_distance(float a, float b) {
  const float d = std::abs(a - b);
  return std::min(d, 360 - d);
}

/// The hue around which most colour lies, and the typical saturation and value near it.
Hsv prevailing(const cv::Mat3f& hsv, const cv::Mat& alpha) {
  constexpr int kBins = 36;
  std::array<float, kBins> weights{};
  for (int y = 0; y < hsv.rows; ++y) {
    for (int x = 0; x < hsv.cols; ++x) {
      const cv::Vec3f& pixel = hsv(y, x);
      if (alpha.at<uchar>(y, x) < 128 || pixel[1] < kLeastSaturation) continue;
      weights[static_cast<int>(pixel[0] / 10) % kBins] += pixel[1] * pixel[2];
    }
  }
  int best = 0;
  float most = -1;
  for (int i = 0; i < kBins; ++i) {
    const float sum = weights[(i + kBins - 1) % kBins] + weights[i] + weights[(i + 1) % kBins];
    if (sum > most) {
      most = sum;
      best = i;
    }
  }
  const float hue = static_cast<float>(best) * 10 + 5;
  std::vector<float> saturations;
  std::vector<float> values;
  for (int y = 0; y < hsv.rows; ++y) {
    for (int x = 0; x < hsv.cols; ++x) {
      const cv::Vec3f& pixel = hsv(y, x);
      if (alpha.at<uchar>(y, x) < 128 || pixel[1] < kLeastSaturation) continue;
      if (hue_distance(pixel[0], hue) > 20) continue;
      saturations.push_back(pixel[1]);
      values.push_back(pixel[2]);
    }
  }
  const auto median = [](std::vector<float>& list) {
    if (list.empty()) return 1.0f;
    std::nth_element(list.begin(), list.begin() + list.size() / 2, list.end());
    return list[list.size() / 2];
  };
  return {hue, median(saturations), median(values)};
}

}  // namespace

cv::Mat painted(const cv::Mat& picture, const std::string& color) {
  cv::Mat rgb;
  cv::Mat alpha;
  cv::cvtColor(picture, rgb, cv::COLOR_RGBA2RGB);
  cv::extractChannel(picture, alpha, 3);
  cv::Mat3f hsv;
  rgb.convertTo(rgb, CV_32F, 1 / 255.0);
  cv::cvtColor(rgb, hsv, cv::COLOR_RGB2HSV);
  const Hsv from = prevailing(hsv, alpha);
  const Hsv to = to_hsv(named_color(color));

  for (auto& pixel : hsv) {
    const float off = hue_distance(pixel[0], from.hue);
    if (off > kHueReach || pixel[1] < kLeastSaturation / 2) continue;
    float shift = pixel[0] - from.hue;
    if (shift > 180) shift -= 360;
    if (shift < -180) shift += 360;
    pixel[0] = std::fmod(to.hue + 0.25f * shift + 360, 360.0f);
    pixel[1] = std::min(1.0f, pixel[1] * to.saturation / from.saturation);
    // Shade below the typical value stays shade, light above it stays light.
    const float value = pixel[2] / from.value;
    pixel[2] = value <= 1 ? value * to.value
                          : to.value + (1 - to.value) * (value - 1) / (1 / from.value - 1 + 1e-3f);
    pixel[2] = std::min(1.0f, pixel[2]);
  }
  cv::cvtColor(hsv, rgb, cv::COLOR_HSV2RGB);
  rgb.convertTo(rgb, CV_8U, 255);
  cv::Mat result;
  cv::cvtColor(rgb, result, cv::COLOR_RGB2RGBA);
  cv::insertChannel(alpha, result, 3);
  return result;
}

}  // namespace groma::train
