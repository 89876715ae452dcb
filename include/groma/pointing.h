#pragma once

#include <optional>
#include <string>
#include <vector>

#include "groma/groma.h"
#include "groma/mask.h"

namespace groma {

/// A way to say "this" other than a box; coordinates in pixels.
struct Pointing {
  enum class Kind {
    kPoints,    ///< clicks: on it, and beside it
    kScribble,  ///< a line drawn over it
    kPolygon,   ///< its outline
    kMask,      ///< its pixels
  };
  Kind kind = Kind::kPoints;
  std::vector<Point> points;   ///< on it; in order for a scribble and a polygon
  std::vector<Point> outside;  ///< kPoints: not on it
  Mask mask;                   ///< kMask
};

/// One candidate and how well it explains a pointing.
struct Fit {
  int candidate = 0;  ///< its number
  float fit = 0;      ///< [0, 1], comparable within one pointing
};

/// What a pointing means.
struct Pointed {
  Box box;                ///< of the candidate, or the shape's own where none fits
  int candidate = -1;     ///< -1: none fits
  float fit = 0;          ///< of the candidate, [0, 1]
  std::vector<Fit> next;  ///< the candidates after it, best first, at most five
};

/// Finds the candidate that explains a pointing best.
///
/// Clicks and scribbles: of the boxes that hold at least nine tenths of the points (or come within
/// 2 % of the picture's longer side of them), by score, size (the smaller the better), how central
/// the points lie, what share the box holds of the picture's pixels of their colour and of the
/// surface of like colour under them, and against it points of `outside` in it. Polygons and masks:
/// by the overlap (IoU) of candidate and tight box; one below 0.5 does not fit.
///
/// candidates  boxes of the picture; `Session::regions`, or `Session::proposals` where none of
///             those fits
/// returns     the shape's tight box where nothing fits; for a single point a quarter of the
///             picture's sides around it
/// throws      Error when a point leaves the picture, there is none or more than 10 000, a polygon
///             has fewer than three corners, no area or crosses itself, or a mask is empty or of
///             another size
Pointed point_at(const Pointing& pointing, const std::vector<Region>& candidates,
                 const Image& image);

/// The pixels of a polygon or mask; nothing for other kinds.
std::optional<Mask> mask_of(const Pointing& pointing, const Image& image);

}  // namespace groma
