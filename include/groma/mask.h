#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "groma/box.h"
#include "groma/image.h"

namespace groma {

/// A place in pixels, as the corners of `Box`.
struct Point {
  float x = 0;
  float y = 0;
};

/// The pixels of an image that belong to something.
struct Mask {
  int width = 0;                     ///< pixels, those of the image
  int height = 0;                    ///< pixels
  std::vector<std::uint8_t> inside;  ///< height * width, row by row; 0 is outside

  bool at(int x, int y) const { return inside[static_cast<std::size_t>(y) * width + x] != 0; }
};

/// Reads a mask from a picture of the image's size: what is not black is inside.
///
/// throws    Error when it is of another size or all black; see Image::open
Mask read_mask(const std::string& path, int width, int height);

/// How many pixels are inside.
std::int64_t area_of(const Mask& mask);

/// The smallest box around all that is inside; empty where nothing is.
Box tight_box(const Mask& mask);

/// The outlines of its parts, without holes; corners in pixels, no two neighbours the same.
std::vector<std::vector<Point>> outlines_of(const Mask& mask);

/// The string that COCO's tools read: lengths of runs, column by column, six bits a character.
///
/// source    pycocotools, rleToString
std::string to_coco_rle(const Mask& mask);

/// Looks for the pixels of what a box surrounds, by colour alone: GrabCut within the box. Knows
/// nothing of objects; where object and ground share colours it is wrong.
///
/// box       pixels, inside the image
/// returns   a mask within the box; all of the box where the colours give nothing
/// source    Rother et al. 2004, as in OpenCV
Mask segment(const Image& image, const Box& box);

}  // namespace groma
