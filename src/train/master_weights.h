#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "model.h"
#include "train/recipe.h"

namespace groma::train {

/// The float values of all parameters, with AdamW's moments of those that move.
///
/// Moving parameters stand one after the other in one buffer; each name owns a view of it.
class MasterWeights {
 public:
  /// Takes the values of `model`, whose parameters hold float tensors.
  MasterWeights(const GromaModelImpl& model, const Recipe& recipe);

  struct Entry {
    std::string name;
    at::Tensor value;  ///< float, shape of the parameter
    bool moves = false;
    at::Tensor first, second;    ///< moments; undefined where it does not move
    at::Tensor gradient;         ///< view of `gradients`
    double rate = 1, decay = 0;  ///< share of the learning rate; weight decay
  };

  std::vector<Entry> entries;  ///< in the order of the model's parameters
  at::Tensor gradients;        ///< of all moving parameters, [n]
  int64_t updates = 0;         ///< steps taken so far

  /// One step of AdamW from `gradients`, clipped.   returns the norm before clipping
  double update(const OptimizerOptions& options, double rate);
};

/// The network of one worker thread: float parameters are the master's own memory, others are
/// converted copies.
class Replica {
 public:
  Replica(const ModelConfig& config, MasterWeights& master, const Recipe& recipe);

  /// Converts the master's present values.
  void refresh();
  /// Adds this replica's gradients to the master's and drops them.
  void hand_over(MasterWeights& master, double share);

  GromaModel model{nullptr};

 private:
  MasterWeights& master_;
  std::vector<at::Tensor> parameters_;  // in the order of the master's entries
};

}  // namespace groma::train
