#pragma once

#include <opencv2/core/mat.hpp>

#include "train/worlds/placing.h"

namespace groma::train {

/// Which shapes a scene shall show: a few kinds and colours that come up several times, so that
/// attributes alone often do not tell them apart.
Plan plan_shapes(const WorldOptions& options, const cv::Mat& background, Random& random);

/// Which things a scene shall show, in the same way.
Plan plan_things(const WorldOptions& options, Random& random);

/// The backdrop of a scene, before any object.
///
/// world     kShapes or kThings
cv::Mat scene_background(World world, int size, std::uint64_t seed, bool test);

}  // namespace groma::train
