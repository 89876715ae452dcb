#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "model.h"
#include "train/recipe.h"
#include "train/training_data.h"

namespace groma::train {

/// What one forward pass of a worker is about.
struct Work {
  uint64_t seed = 0;  ///< of the whole run
  int64_t step = 0;
  int64_t first = 0;    ///< first entry of the data in this pass
  int64_t count = 0;    ///< how many
  double progress = 0;  ///< share of the stage's steps that are done, in [0, 1)
};

/// Numbers to report, averaged over the passes of a step.
using Metrics = std::map<std::string, double>;

/// Loss and numbers of one forward pass.
struct Losses {
  at::Tensor total;
  Metrics metrics;

  /// Adds a weighted part and notes it, unless its weight is 0.
  void add(const std::string& name, const at::Tensor& loss, double weight);
};

/// Where a model computes.
at::Device device_of(const GromaModelImpl& model);

/// What a stage learns from and is judged by.
struct StageData {
  std::shared_ptr<const TrainingData> training;
  std::shared_ptr<const TrainingData> validation;  ///< null: the stage is not validated
};

/// A stage: what is computed in a step, and how good the model is.
struct Stage {
  std::function<Losses(GromaModelImpl&, const Work&)> losses;
  /// Metrics over validation scenes `first` to `first + count - 1`, as sums with "n." counts: every
  /// "x" is divided by "n.x" once all workers have added theirs.
  std::function<Metrics(GromaModelImpl&, int64_t first, int64_t count)> validate;
};

}  // namespace groma::train
