#pragma once

#include <optional>
#include <string>
#include <vector>

#include "groma/confidence.h"
#include "groma/formats.h"
#include "groma/groma.h"
#include "pointing.h"
#include "terminal.h"

namespace groma::cli {

/// More than any conversation takes, masks and all.
constexpr std::size_t kMostSessionBytes = 100'000'000;

/// How answers are asked for and printed.
struct AnswerArgs {
  ChatOptions options;
  std::optional<Format> format;         ///< instead of text
  Calibration calibration;              ///< of the model
  float min_score = 0;                  ///< regions of less confidence are left out
  bool masks = false;                   ///< find a mask for each region
  std::string label = "object";         ///< in a format, of regions without words
  std::optional<PictureProtocol> show;  ///< draw the answer in the terminal
  bool interactive = false;             ///< Ctrl-C stops the answer even before its first word
};

/// Finds what is pointed at, asks, prints the text (on a terminal as it comes) to standard output
/// and what its phrases point at to standard error. Ctrl-C stops the answer: its `finish` is then
/// kCancelled.
///
/// file      of the picture, as results call it
ImageAnswer ask(Session& session, const Image& image, const std::string& file,
                const std::string& prompt, const PointingArgs& pointing, const AnswerArgs& args);

/// The same without printing.
ImageAnswer ask_silently(Session& session, const Image& image, const std::string& file,
                         const std::string& prompt, const PointingArgs& pointing,
                         const AnswerArgs& args);

/// What is known before the answer.
ImageAnswer about(const std::string& file, const Image& image, const std::string& prompt);

/// Prints answers in a format that is one text.
///
/// throws    Error when it is several files
void print_format(const std::vector<ImageAnswer>& answers, Format format, const std::string& label);

}  // namespace groma::cli
