#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "groma/train.h"

/// Conversations about one's own pictures, written by a vision-language service that is not called
/// here: its requests are prepared, and its answers checked and turned into training data.

namespace groma::train {

/// Pictures and the folder for their requests.
struct InstructOptions {
  DataSource data;
  std::string folder;         ///< to write; new or empty
  std::string service_model;  ///< name of the service's model, as its requests want it
  int most_regions = 20;      ///< of a picture; those with more text about them come first
  int longest_side = 1024;    ///< of the marked pictures, pixels; larger ones shrink
  bool skip_wrong = false;
  std::function<void(const std::string&)> on_note;  ///< gets a line on what the data hold
};

/// Writes marked/*.jpg, pictures with numbered boxes (Set-of-Mark); requests.jsonl, a line each for
/// a service that takes batches of chat completions; and regions.jsonl, what the numbers mean.
///
/// returns  how many requests there are
/// throws   Error naming file and entry of wrong data
std::int64_t prepare_instruct(const InstructOptions& options);

/// What became of a service's answers.
struct InstructResult {
  std::int64_t answers = 0, kept = 0, missing = 0;
};

/// Reads a service's answers, a line a request, and writes those that hold as chat JSONL, which
/// `groma train --data` takes.
///
/// An answer holds when it is JSON as asked for, every number is one of its picture's, tags close
/// and every phrase leads to boxes.
///
/// folder      of prepare_instruct
/// on_refused  gets a line on each answer that does not hold
/// throws      Error when a file cannot be read or written, or no answer holds
InstructResult read_instruct(const std::string& folder, const std::string& answers,
                             const std::string& out,
                             const std::function<void(const std::string&)>& on_refused);

}  // namespace groma::train
