#pragma once

#include <string>

#include "train/master_weights.h"

namespace groma::train {

/// Where a run stands, apart from its weights. Data and random choices follow from seed and step.
struct RunState {
  int64_t step = 0;
  uint64_t seed = 0;
  int threads = 0;
  std::string data;    ///< description of what the run learns from
  std::string recipe;  ///< text of the recipe that the run was started with
};

/// Writes weights, moments and state as one safetensors file, whole or not at all.
void save_state(const std::string& path, const MasterWeights& weights, const RunState& state);

/// Reads them back into `weights`, which must have the same parameters.
///
/// throws  Error naming the first thing that does not fit
RunState load_state(const std::string& path, MasterWeights& weights);

/// Gives `model` the values of those parameters that the run of a state has moved.
void load_moved_values(const std::string& path, GromaModelImpl& model);

}  // namespace groma::train
