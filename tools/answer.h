#pragma once

#include <optional>
#include <string>
#include <vector>

#include "groma/formats.h"
#include "groma/groma.h"

namespace groma::cli {

/// How answers are asked for and printed.
struct AnswerArgs {
  ChatOptions options;
  std::optional<Format> format;  ///< instead of text
  std::string label = "object";  ///< in a format, of regions without words
  bool interactive = false;      ///< Ctrl-C stops the answer even before its first word
};

/// Asks, prints the text (on a terminal as it comes) to standard output and what its phrases point
/// at to standard error. Ctrl-C stops the answer: its `finish` is then kCancelled.
ImageAnswer ask(Session& session, const ImageAnswer& about, const std::vector<Box>& boxes,
                const AnswerArgs& args);

/// Asks and prints nothing.
ImageAnswer ask_silently(Session& session, const ImageAnswer& about, const std::vector<Box>& boxes,
                         const ChatOptions& options);

/// What is known before the answer.
ImageAnswer about(const std::string& file, const Image& image, const std::string& prompt);

/// Prints answers in a format that is one text.
///
/// throws    Error when it is several files
void print_format(const std::vector<ImageAnswer>& answers, Format format, const std::string& label);

}  // namespace groma::cli
