#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace groma::eval {

using FloatBox = std::array<float, 4>;

/// A box the model could have named, in pixels, with its proposal score.
struct Candidate {
  FloatBox xyxy{};
  float score = 0;
};

/// A region that the answer names.
struct PredictedRegion {
  int region = 0;
  FloatBox cxcywh{};  ///< [0, 1] of the image
  FloatBox xyxy{};    ///< pixels
  float score = 0;    ///< of the proposal, [0, 1]
  float logprob = 0;  ///< of its token
};

/// Words of the answer and the places in Prediction::regions that they are about.
struct PredictedPhrase {
  std::string text;
  std::vector<int> regions;
};

/// A line of predictions.jsonl: what the model said about one sample.
struct Prediction {
  std::string key;  ///< see key_of
  std::int64_t image_id = 0;
  std::string image;
  std::string prompt;
  std::vector<std::int64_t> ids;
  std::string text;
  int regions_kept = 0;
  std::vector<PredictedRegion> regions;  ///< in order of emission, those that exist
  std::vector<PredictedPhrase> phrases;  ///< grounded-chat
  std::vector<Candidate> candidates;     ///< all kept boxes, by region number
  std::vector<Candidate> proposals;      ///< protocol proposals: before threshold and suppression
  std::string error;
  bool skipped = false;  ///< its image is missing and --skip-missing was given
};

/// "label/prompt/seed", for example "COCO_7/2/0". The label may hold slashes.
struct PredictionKey {
  std::string label;
  int prompt = 0;
  std::uint64_t seed = 0;

  std::string text() const;
  bool operator==(const PredictionKey&) const = default;
};

/// A text without two numbers at its end is a label with prompt 0 and seed 0.
PredictionKey parse_key(std::string_view text);

/// One line with its line feed. Floats are the shortest decimals that read back the same.
std::string prediction_line(const Prediction& prediction);

/// Whether every number is finite, so that JSON can hold it.
bool all_finite(const Prediction& prediction);

/// `name` stands for file and line in messages.
///
/// throws    Error naming the field of a mistake
Prediction parse_prediction(std::string_view line, const std::string& name);

/// All whole lines of a file. A last line without its end, left by a process that was killed, is
/// dropped; `whole_bytes` gets the length of the rest.
std::vector<Prediction> read_predictions(std::string_view text, const std::string& name,
                                         std::size_t* whole_bytes = nullptr);

}  // namespace groma::eval
