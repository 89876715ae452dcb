#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "answer/typed_shape.h"
#include "groma/formats.h"

namespace groma::cli {

/// What is done with the regions before the question.
struct PointingArgs {
  std::vector<TypedShape> shapes;  ///< in the order in which they were given
  bool masked = false;             ///< features outside of polygons and masks do not count
  bool join = false;               ///< boxes join the proposals, without suppressing any
  std::vector<int> only;           ///< keep these regions alone
  std::vector<int> drop;           ///< leave these out
};

/// --box, --point, --points, --scribble, --polygon, --mask, --masked, --join, --only, --drop.
void add_pointing_options(CLI::App& command, PointingArgs& args);

/// A question made ready: shapes turned into boxes, in the order of the places in the prompt.
struct ReadyQuestion {
  std::string prompt;  ///< "{name}" replaced by "<box>"
  std::vector<Box> boxes;
  std::vector<Referent> referents;
};

/// Checks a question as far as that can be done without its picture.
///
/// throws    Error for an empty one, or one whose places and shapes do not go together
void check_question(std::string prompt, const PointingArgs& args);

/// Finds what the shapes mean in the session's picture and chooses its regions as asked.
///
/// throws    Error for a shape that does not fit the picture, or a name that the prompt lacks
ReadyQuestion make_ready(Session& session, const Image& image, const std::string& prompt,
                         const PointingArgs& args);

}  // namespace groma::cli
