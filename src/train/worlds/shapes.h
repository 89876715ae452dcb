#pragma once

#include <string>

#include "train/worlds/random.h"
#include "train/worlds/sprite.h"
#include "train/worlds/texture.h"

namespace groma::train {

/// How a shape looks, apart from where it stands.
struct ShapeLook {
  std::string kind;     ///< of kShapeKinds
  std::string color;    ///< of kColors
  std::string texture;  ///< of kTextures
  float side = 0;       ///< longest side after rotation, in pixels
};

/// The typical colour that a colour word stands for.
Color named_color(const std::string& word);

/// Draws a shape with a random rotation within what its kind allows, anti-aliased.
///
/// `paper` fills what its colour leaves free: the inside when outlined, the gaps when striped.
Sprite shape_sprite(const ShapeLook& look, const Color& paper, Random& random);

}  // namespace groma::train
