#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "groma/box.h"

namespace groma::train {

enum class World {
  kShapes,  ///< coloured shapes
  kThings,  ///< pictograms of everyday things; needs the font of Debian's fonts-noto-color-emoji
  kBoth,    ///< either, by the scene's seed
};

/// What kind of scenes are drawn.
struct WorldOptions {
  World world = World::kShapes;
  int size = 224;              ///< side of the square picture in pixels, 64..1024
  int min_objects = 2;         ///< 1..12; a scene has fewer only where no more find room
  int max_objects = 12;        ///< min_objects..12
  double small_share = 0.33;   ///< of the objects, below 1/9 of the picture's side, about
  double hidden_share = 0.36;  ///< of the objects, partly hidden by another one, about
  bool test = false;  ///< draw from the test stream: no scene of it is ever a training scene
  std::string font;   ///< of `things`; empty: GROMA_EMOJI_FONT, else the usual places
};

/// An object of which less than this share is visible counts as partly hidden.
inline constexpr float kPartlyHidden = 0.95f;

/// One object as it was drawn.
///
/// `size` is its word by the longest side, which is for a picture of 224 pixels: small 18..24,
/// medium 34..52, large 68..104, between them nothing; full_box is up to three pixels shorter where
/// the object ends in a tip thinner than a pixel.
struct SceneObject {
  std::string kind;     ///< class word: "star", "dog"
  std::string color;    ///< "red"; empty where the kind has no single nameable colour
  std::string texture;  ///< "solid", "outlined", "striped"; empty for things
  std::string size;     ///< "small", "medium", "large"
  Box box;              ///< around the visible pixels, whole pixels
  Box full_box;         ///< around the object if nothing hid it, whole pixels
  float visible = 1;    ///< visible share of its pixels, in (0, 1]
};

/// A picture with its exact truth. Objects stand in drawing order: a later one hides an earlier
/// one.
struct Scene {
  World world = World::kShapes;  ///< kShapes or kThings
  std::uint64_t seed = 0;
  int size = 0;                     ///< width and height in pixels
  std::vector<std::uint8_t> rgb;    ///< [size, size, 3]
  std::vector<std::uint8_t> owner;  ///< [size, size]: 0 background, i + 1 a pixel of objects[i]
  std::vector<SceneObject> objects;
};

/// Draws the scene that belongs to the options and the seed: the same at every call, from any
/// thread.
///
/// throws    Error when an option is out of range or the font of `things` is missing
Scene draw_scene(const WorldOptions& options, std::uint64_t seed);

/// [size, size], 1 where objects[object] is visible, else 0.
std::vector<std::uint8_t> visible_mask(const Scene& scene, int object);

}  // namespace groma::train
