#pragma once

#include <string>
#include <utility>
#include <vector>

#include "groma/pointing.h"

namespace groma {

/// A length as typed: pixels, or per cent of a side.
struct TypedLength {
  float value = 0;
  bool percent = false;
};

/// What a user points with, before the picture is known.
struct TypedShape {
  enum class Kind { kBox, kPoints, kScribble, kPolygon, kMask };
  Kind kind = Kind::kBox;
  std::string name;  ///< "{name}" in the prompt speaks of it; may be empty
  std::vector<std::pair<TypedLength, TypedLength>> places;
  std::vector<bool> beside;  ///< of each place: a point that is not on it
  std::string file;          ///< of a mask
  std::string text;          ///< option and value, as typed
};

/// How the value of such a shape is written: "x1,y1,x2,y2".
const char* form_of(TypedShape::Kind kind);

/// Reads "name=..." or "...": a box "x1,y1,x2,y2", a mask's file, or places "x,y;x,y", of which
/// points take "-x,y" for a place beside.
///
/// throws    Error when it is none of these
TypedShape parse_shape(TypedShape::Kind kind, const std::string& text);

/// The box that a shape of kind kBox is, in pixels; not checked against the picture.
Box box_of(const TypedShape& shape, const Image& image);

/// What a shape of another kind points at, in pixels; a mask is read from its file.
///
/// throws    Error when the mask cannot be read or is of another size
Pointing pointing_of(const TypedShape& shape, const Image& image);

}  // namespace groma
