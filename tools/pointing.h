#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <utility>
#include <vector>

#include "groma/formats.h"
#include "groma/pointing.h"

namespace groma::cli {

/// A length as typed: pixels, or per cent of a side.
struct Length {
  float value = 0;
  bool percent = false;
};

/// What a user points with, before the picture is known.
struct Shape {
  enum class Kind { kBox, kPoints, kScribble, kPolygon, kMask };
  Kind kind = Kind::kBox;
  std::string name;  ///< "{name}" in the prompt speaks of it; may be empty
  std::vector<std::pair<Length, Length>> places;
  std::vector<bool> beside;  ///< of each place: a point that is not on it
  std::string file;          ///< of a mask
  std::string text;          ///< option and value, as typed
};

/// Reads "name=..." or "...": a box "x1,y1,x2,y2", a mask's file, or places "x,y;x,y", of which
/// points take "-x,y" for a place beside.
///
/// throws    Error when it is none of these
Shape parse_shape(Shape::Kind kind, const std::string& text);

/// What is done with the regions before the question.
struct PointingArgs {
  std::vector<Shape> shapes;  ///< in the order in which they were given
  bool masked = false;        ///< features outside of polygons and masks do not count
  bool join = false;          ///< boxes join the proposals, without suppressing any
  std::vector<int> only;      ///< keep these regions alone
  std::vector<int> drop;      ///< leave these out
};

/// --box, --point, --points, --scribble, --polygon, --mask, --masked, --join, --only, --drop.
void add_pointing_options(CLI::App& command, PointingArgs& args);

/// A question made ready: shapes turned into boxes, in the order of the places in the prompt.
struct ReadyQuestion {
  std::string prompt;  ///< "{name}" replaced by "<box>"
  std::vector<Box> boxes;
  std::vector<Referent> referents;
};

/// Finds what the shapes mean in the session's picture and chooses its regions as asked.
///
/// throws    Error for a shape that does not fit the picture, or a name that the prompt lacks
ReadyQuestion make_ready(Session& session, const Image& image, const std::string& prompt,
                         const PointingArgs& args);

}  // namespace groma::cli
