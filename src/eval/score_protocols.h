#pragma once

#include <string>
#include <vector>

#include "eval/prediction.h"
#include "eval/samples.h"
#include "groma/evaluate.h"

namespace groma::eval {

/// A prediction with the sample it is about.
struct Answered {
  const Sample* sample;
  const Prediction* prediction;
  PredictionKey key;
};

/// The first keys of a list, for messages.
std::string some_of(const std::vector<std::string>& keys);

/// Finds the sample of each prediction and puts them in the order of samples, seeds, prompts.
///
/// throws    Error that lists keys which come twice or belong to no sample
std::vector<Answered> order_answers(const std::vector<const Prediction*>& predictions,
                                    const SampleList& samples, const std::string& where);

/// An answer that is wrong, for the report: worst first.
struct WrongAnswer {
  const Answered* answer;
  std::vector<XywhBox> targets;  ///< pixels
  double overlap = 0;            ///< how near it came, [0, 1]
  std::string why;
};

/// What scoring a protocol needs. `options` hold a rule; answers are by sample, seed, prompt.
struct ScoreInput {
  const Dataset& dataset;
  const SampleList& samples;
  const std::vector<Answered>& answers;
  const RunScoreOptions& options;
};

/// Each adds figures and facts; wrong answers go to `wrong` where that is wanted.
void score_rec(const ScoreInput& input, ScoreReport& report, std::vector<WrongAnswer>& wrong);
void score_lvis_ground(const ScoreInput& input, ScoreReport& report,
                       std::vector<WrongAnswer>& wrong);
void score_captions(const ScoreInput& input, ScoreReport& report, std::vector<WrongAnswer>& wrong);
void score_proposals(const ScoreInput& input, ScoreReport& report, std::vector<WrongAnswer>& wrong);
void score_grounded_chat(const ScoreInput& input, ScoreReport& report,
                         std::vector<WrongAnswer>& wrong);

/// Writes detections.json (and captions.json) for other tools; `answers` in their order.
void write_result_lists(const std::string& folder, const Dataset& dataset,
                        const std::vector<Answered>& answers, Protocol protocol);

/// The same and predictions.jsonl.
void write_merged(const std::string& folder, const Dataset& dataset,
                  const std::vector<Answered>& answers, Protocol protocol);

/// How well an answered box fits its target by a rule, and whether that is right.
struct RecVerdict {
  double iou = 0;
  double overlap = 0;  ///< what the rule compares with 0.5: IoU, generalised for kMdetr
  bool right = false;
};
RecVerdict judge(RecRule rule, const PredictedRegion& answer, const XywhBox& target,
                 const Entry& entry);

/// Words of a phrase in lower case without a, an, the and punctuation.
std::vector<std::string> naming_words(const std::string& phrase);

/// Whether a phrase holds the words that name an object, one after the other.
bool names_object(const std::string& phrase, const std::string& object);

}  // namespace groma::eval
