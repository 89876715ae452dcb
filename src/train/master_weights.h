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
  /// Takes the values of `model`, whose parameters hold float tensors, to `device`.
  ///
  /// seed    of adapters
  /// throws  Error when nothing moves, or one of the recipe's prefixes or its adapters fit nothing
  MasterWeights(const GromaModelImpl& model, const Recipe& recipe, uint64_t seed,
                at::Device device);

  struct Entry {
    std::string name;
    at::Tensor value;  ///< float, shape of the parameter
    bool moves = false;
    at::Tensor first, second;    ///< moments; undefined where it does not move
    at::Tensor average;          ///< running mean; undefined where none is kept
    at::Tensor gradient;         ///< view of `gradients`
    double rate = 1, decay = 0;  ///< share of the learning rate; weight decay
  };

  /// A low-rank addition to a matrix of the language model: lora_scale * up * down.
  struct Adapter {
    size_t base, down, up;  ///< places in `entries`: [out, in], [rank, in], [out, rank]
  };

  std::vector<Entry> entries;  ///< in the order of the model's parameters; then those of adapters
  std::vector<Adapter> adapters;
  double lora_scale = 0;
  at::Tensor gradients;  ///< of all moving parameters, [n]
  int64_t updates = 0;   ///< steps taken so far

  /// One step of AdamW from `gradients`, clipped.   returns the norm before clipping
  double update(const OptimizerOptions& options, double rate);

  /// Gives the running means the values' place, and back again at the next call.
  void swap_averages();
  /// What training results in for a parameter of the model: its running mean where one is kept,
  /// adapters merged.
  at::Tensor result(size_t entry) const;

 private:
  void add_adapters(const LoraOptions& lora, uint64_t seed, at::Device device);

  double ema_ = 0;
};

/// "llm.x.q_proj.weight" -> "llm.x.q_proj.lora_A.weight"; A leads down to the rank, B up.
std::string adapter_name(const std::string& matrix, char which);

/// The network of one worker thread: float parameters are the master's own memory, others are
/// converted copies.
class Replica {
 public:
  Replica(const ModelConfig& config, MasterWeights& master, const Recipe& recipe);

  /// Converts the master's present values.
  void refresh();
  /// Puts matrices and adapters together, as every forward pass needs it anew.
  void merge_adapters();
  /// Adds this replica's gradient of an entry to the master's and drops it.
  void hand_over(size_t entry, double share);

  GromaModel model{nullptr};

 private:
  MasterWeights& master_;
  std::vector<at::Tensor> parameters_;    // in the order of the master's entries
  std::vector<nn::LinearImpl*> adapted_;  // of each adapter, in `model`
};

}  // namespace groma::train
