#pragma once

#include <optional>
#include <string>
#include <vector>

#include "language/tokenizer.h"
#include "model.h"
#include "train/master_weights.h"

namespace groma::train {

/// A model to train and the folder it came from.
struct StartingModel {
  std::string directory;
  ModelConfig config;
  GromaModel model{nullptr};           ///< float parameters
  std::optional<Tokenizer> tokenizer;  ///< empty where the folder holds none

  /// Writes the weights as a checkpoint of the published layout, with the folder's other files.
  void export_model(const MasterWeights& weights, const std::string& out) const;
};

/// Reads a checkpoint; where the folder holds no weights, they are drawn from `seed`, and the words
/// that describe the worlds' objects get their vectors.
///
/// from  training states whose parameters replace those that they moved, in this order
StartingModel starting_model(const std::string& directory, const std::vector<std::string>& from,
                             uint64_t seed);

}  // namespace groma::train
