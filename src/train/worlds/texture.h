#pragma once

#include <opencv2/core/mat.hpp>
#include <opencv2/core/types.hpp>

#include "train/worlds/random.h"

namespace groma::train {

/// Red, green, blue in 0..255.
using Color = cv::Vec3f;

/// A colour of low saturation: `value` is its brightest channel in 0..255, `saturation` in 0..1.
Color muted_color(Random& random, float low_value, float high_value, float saturation);

/// Every pixel has its own random value in [-1, 1), smoothed over cells of `grain_x` x `grain_y`
/// pixels.
///
/// returns   [height, width] CV_32F
cv::Mat noise(cv::Size size, float grain_x, float grain_y, Random& random);

/// Sum of `octaves` noises, each half as coarse and `falloff` times as strong as the one before;
/// about in [-1, 1].
cv::Mat fractal_noise(cv::Size size, float grain, int octaves, float falloff, Random& random);

/// A smooth blend of four corner colours over the picture.
///
/// returns   [height, width] CV_32FC3
cv::Mat corner_gradient(cv::Size size, const Color (&corners)[4]);

/// Adds amount * layer to all three channels of `picture`.
void add_layer(cv::Mat& picture, const cv::Mat& layer, float amount);

/// Blends `color` over `picture` where `weight` (0..1) says so.
void blend(cv::Mat& picture, const Color& color, const cv::Mat& weight);

/// Rounds to CV_8UC3, saturating, with `grain` (0..255) of noise for each pixel.
cv::Mat finish_picture(const cv::Mat& picture, float grain, Random& random);

}  // namespace groma::train
