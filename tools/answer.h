#pragma once

#include <string>
#include <vector>

#include "groma/groma.h"

namespace groma::cli {

/// How answers are asked for and printed.
struct AnswerArgs {
  ChatOptions options;
  bool json = false;         ///< one object a line instead of text
  bool interactive = false;  ///< Ctrl-C stops the answer even before its first word
};

/// Asks, prints the text (on a terminal as it comes) to standard output and what its phrases point
/// at to standard error. Ctrl-C stops the answer: its `finish` is then kCancelled.
ChatResult ask(Session& session, const Image& image, const std::string& prompt,
               const std::vector<Box>& boxes, const AnswerArgs& args);

}  // namespace groma::cli
