#pragma once

#include <opencv2/core/mat.hpp>

#include "train/worlds/random.h"

namespace groma::train {

/// A muted backdrop for coloured shapes: gradients, noise of one of several grains, stripes, dots,
/// or clutter of low contrast.
///
/// returns   [size, size] CV_8UC3, RGB
cv::Mat shapes_background(int size, Random& random);

/// A backdrop that resembles a photograph: a landscape with a horizon, a room with a table,
/// lights out of focus, or the surface of some material.
///
/// returns   [size, size] CV_8UC3, RGB
cv::Mat things_background(int size, Random& random);

}  // namespace groma::train
