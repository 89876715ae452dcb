#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine.h"
#include "eval/prediction.h"
#include "groma/evaluate.h"
#include "language/prompt.h"
#include "session.h"

namespace groma::eval {

/// A question about a picture that has been seen.
struct ExamQuestion {
  const Session::Impl* picture = nullptr;  ///< from Examiner::see
  std::vector<TextPiece> pieces;
  std::optional<XywhBox> box;  ///< referred to, pixels
  std::optional<std::uint64_t> shuffle_seed;
};

/// What the model said, still without key and prompt, and how long it took.
struct ExamAnswer {
  Prediction prediction;
  Timings timings;
};

/// Asks a model the questions of one protocol.
///
/// An answer depends on its question and picture, not on what was asked before: the picture is seen
/// and read apart from the questions, and each question is read on its own. Only the later tokens
/// of answers that are generated together share their computation.
class Examiner {
 public:
  Examiner(std::shared_ptr<const Groma::Impl> engine, const RunOptions& options);

  /// Sees a picture, for any number of questions.
  std::unique_ptr<Session::Impl> see(const Image& image, Timings& timings) const;

  /// A question that fails gives a prediction with its error; the others go on.
  std::vector<ExamAnswer> ask(const std::vector<ExamQuestion>& questions) const;

 private:
  Prediction proposals_of(const Session::Impl& picture) const;
  Prediction prediction_of(const OpenQuestion& open, const Session::Impl& session,
                           const ChatResult& said) const;

  std::shared_ptr<const Groma::Impl> engine_;
  const Protocol protocol_;
  RegionOptions regions_;
  ChatOptions chat_;
};

}  // namespace groma::eval
