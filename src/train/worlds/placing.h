#pragma once

#include <functional>
#include <string>
#include <vector>

#include "train/worlds/canvas.h"
#include "train/worlds/random.h"
#include "train/worlds/scene.h"
#include "train/worlds/texture.h"

namespace groma::train {

/// An object that shall be drawn: its words and how to draw it.
struct PlannedObject {
  SceneObject words;  ///< kind, colour, texture, size; boxes are found when it is placed
  /// Draws it with the longest side given, in pixels.
  std::function<Sprite(float side, Random& random)> draw;
  Color color;               ///< to be told from the backdrop
  float least_contrast = 0;  ///< distance that `color` must have from the backdrop around it
};

/// What a scene shall show: the first `count` objects that find room.
struct Plan {
  int count = 0;
  std::vector<PlannedObject> objects;  ///< kSpares more than are wanted
};
inline constexpr int kSpares = 4;

/// Puts the objects on the background one after the other, each where it stays identifiable and
/// leaves the others so; what finds no room becomes small, and is left out if that does not help.
///
/// clash     whether two objects must not touch each other, as nobody could tell their border
Scene place_objects(const WorldOptions& options, const cv::Mat& background, const Plan& plan,
                    const std::function<bool(const SceneObject&, const SceneObject&)>& clash,
                    Random& random);

/// Longest side in pixels of an object of that size word in a picture of `picture` pixels.
float random_side(const std::string& size, int picture, Random& random);

/// A size word; `crowded` scenes have fewer large objects.
std::string random_size(const WorldOptions& options, bool crowded, Random& random);

}  // namespace groma::train
