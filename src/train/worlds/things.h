#pragma once

#include <array>
#include <opencv2/core/mat.hpp>
#include <opencv2/core/types.hpp>
#include <string>
#include <vector>

#include "train/worlds/random.h"
#include "train/worlds/sprite.h"
#include "train/worlds/texture.h"
#include "train/worlds/words.h"

namespace groma::train {

/// A picture in steps of half the size, so that any smaller size is drawn without flicker.
///
/// Each level is CV_8UC4: R, G, B multiplied by alpha, then alpha.
using Levels = std::vector<cv::Mat>;

/// One kind of thing, ready to be drawn.
struct Thing {
  std::string kind;
  bool paintable = false;  ///< one clear colour of its own, which any other can replace
  Levels plain;            ///< as the font has it
  std::array<Levels, kColors.size()> painted;  ///< by colour; empty unless paintable
  std::vector<cv::Point2f> hull;               ///< convex hull of its opaque pixels in plain[0]
};

/// The words of all things that can be drawn, in fixed order.
const std::vector<std::string>& thing_kinds();

/// All things of a font, in the order of thing_kinds(); read once for a font and kept.
///
/// Safe from several threads.
/// throws    Error when the font is missing or unfit
const std::vector<Thing>& things_of(const std::string& font);

/// Draws a thing, perhaps mirrored, turned a little, and lighter or darker.
///
/// color     of kColors; empty: its own
/// side      longest side after rotation, in pixels
Sprite thing_sprite(const Thing& thing, const std::string& color, float side, Random& random);

/// Mean colour of its opaque pixels.
Color mean_color(const Thing& thing, const std::string& color);

}  // namespace groma::train
