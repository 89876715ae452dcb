#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "groma/train.h"
#include "train/score_heads.h"

namespace groma::train {

enum class StageKind { kDetection, kAlignment, kInstruction };

/// "detection", "alignment" or "instruction".
const char* stage_name(StageKind stage);

/// A value for all parameters whose name begins with a prefix.
struct PrefixValue {
  std::string prefix;
  double value = 1;
};

/// How fast and how long a stage learns.
struct Schedule {
  int64_t steps = 1000;
  int64_t warmup = 100;       ///< steps from 0 to the full rate
  int64_t decay = 1000;       ///< last steps, in which the rate falls to `final_share`
  bool cosine = true;         ///< shape of the fall; else a straight line
  double final_share = 0.01;  ///< of the full rate, at the last step

  /// Share of the full rate at a step, in [0, 1].
  double at(int64_t step) const;
};

/// AdamW. Loshchilov and Hutter 2019.
struct OptimizerOptions {
  double rate = 1e-4;
  std::array<double, 2> betas = {0.9, 0.98};
  double epsilon = 1e-8;
  double weight_decay = 0.05;      ///< of matrices; norms, biases and tables have none
  double clip = 1;                 ///< largest norm of all gradients together
  std::vector<PrefixValue> rates;  ///< shares of `rate`; the longest prefix counts, else 1
};

/// Low-rank adapters beside matrices of the language model. Hu et al. 2021.
struct LoraOptions {
  int64_t rank = 0;   ///< 0: none
  double alpha = 16;  ///< the adapters' product counts alpha / rank
  std::vector<std::string> targets = {"q_proj", "v_proj"};  ///< which matrices of every layer
};

/// A phase of a curriculum: holds until a share of the steps is done.
struct Phase {
  double until = 1;                         ///< share of the stage's steps
  int max_objects = 12;                     ///< of the scenes
  std::map<std::string, double> questions;  ///< sort of question -> how often, relative
};

/// What a stage does: all that models/stages/*.json says.
struct Recipe {
  StageKind stage = StageKind::kDetection;
  std::vector<std::string> trainable;  ///< prefixes of the parameters that move
  std::vector<std::string> frozen;     ///< prefixes of those that stay all the same
  std::vector<std::string> zeroed;     ///< prefixes of those that are zero throughout: ablations
  LoraOptions lora;
  double ema = 0;  ///< decay of a running mean of the weights, which is what results; 0: none
  std::vector<std::string> bfloat16;  ///< prefixes of the parameters that compute in bfloat16
  bool autocast = false;  ///< the language model multiplies in bfloat16 and keeps the rest in float
  Schedule schedule;
  OptimizerOptions optimizer;
  int64_t batch = 8;                     ///< pictures a step, over all threads
  int64_t accumulate = 1;                ///< forward and backward passes a step
  std::map<std::string, double> losses;  ///< weight of each loss, by name
  std::vector<Phase> phases;             ///< curriculum of the language stages
  int questions_per_image = 8;
  double image_token_share = 0.5;  ///< how often the image's tokens are shown
  double marked_share = 1;         ///< how often what is looked for stands in <p></p>
  bool oracle_features = false;    ///< regions come from the truth instead of from the picture
  std::vector<DataSource> data, validation_data;  ///< empty: `world`
  ScoreHeads score_heads = ScoreHeads::kQuality;
  std::string world = "shapes";
  double small_share = 0.33, hidden_share = 0.36;  ///< of the worlds' objects
  int64_t validate_every = 500;                    ///< steps
  int64_t validation_scenes = 60;
  double checkpoint_minutes = 2;
  std::string text;  ///< the file itself, kept with the checkpoints

  double loss(const std::string& name) const;  ///< 0 when not named
};

/// throws  Error naming the file and key that is wrong or unknown
Recipe read_recipe(const std::string& path);

/// What differs between two recipes' texts: "/batch 8, now 4; /ema none, now 0.9"; empty: nothing.
std::string recipe_changes(const std::string& before, const std::string& now);

/// The value of the longest prefix that `name` begins with.
double value_for(const std::vector<PrefixValue>& values, const std::string& name, double fallback);

bool begins_with_any(const std::string& name, const std::vector<std::string>& prefixes);

/// "a, b, c", for messages.
std::string listed(const std::vector<std::string>& names);

}  // namespace groma::train
