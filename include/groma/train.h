#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "groma/groma.h"

/// Training Groma without Python: the three stages of the paper on synthetic worlds or own data.

namespace groma::train {

/// Pictures of one's own with an annotation file, or a world that is drawn.
struct DataSource {
  std::string path;             ///< annotation file, see groma/evaluate.h; or `world`
  std::string images;           ///< folder of the pictures; empty: that of `path`
  std::string format = "auto";  ///< kind of the file, see eval::format_named
  std::string split;            ///< of a refs(...).p
  std::string world;            ///< shapes, things or both, in place of a file
  double share = 0;             ///< of the pictures; 0 in all sources: as many as each has
  bool segments = false;        ///< annotated as SA-1B is: everything, parts too; SA-1B itself is
};

/// What to train, from what, and where the results go.
struct TrainOptions {
  std::string recipe;  ///< a file of models/stages: what the stage does
  std::string stage;   ///< that the recipe must be of, by name; empty: any
  std::string model;   ///< checkpoint to start from; one without weights starts from scratch
  std::vector<std::string> from;  ///< states of earlier runs whose moved parameters are taken over
  std::string out;                ///< run folder: checkpoints, logs, the trained model
  bool resume = false;            ///< go on from the last checkpoint in `out`
  /// kCuda: the first GPU that CUDA_VISIBLE_DEVICES shows; of several processes each needs its own.
  Device device = Device::kCpu;
  int threads = 0;         ///< workers, each with a share of the batch; 0: all cores, on a GPU one
  std::uint64_t seed = 0;  ///< of data order and random choices
  std::int64_t steps = 0;  ///< overrides the recipe's number of steps; 0: as the recipe says
  std::int64_t report_every = 20;      ///< steps between two calls of `on_progress`
  std::vector<std::string> freeze;     ///< prefixes of parameters that stay, beside the recipe's
  std::vector<DataSource> data;        ///< in place of the recipe's; both empty: its world
  std::vector<DataSource> validation;  ///< in place of the recipe's
  bool skip_wrong = false;  ///< leave wrong entries of the data out instead of refusing them
  std::function<void(const std::string&)>
      on_note;                                  ///< gets a line on what the data hold, or the run
  std::function<bool(std::int64_t step)> stop;  ///< asked after every step; true ends the run there
};

/// How far a run is. Losses are means over the steps since the last report.
struct TrainProgress {
  std::int64_t step = 0, steps = 0;
  double seconds = 0;       ///< since the run was started or resumed
  double seconds_left = 0;  ///< estimated
  double rate = 0;          ///< learning rate
  double loss = 0;
  std::map<std::string, double> metrics;     ///< parts of the loss
  std::map<std::string, double> validation;  ///< filled where the model has just been validated
};

/// How a run ended.
struct TrainResult {
  std::int64_t steps = 0;  ///< taken in all, earlier runs included
  double loss = 0;         ///< last reported
  std::map<std::string, double> validation;
  bool stopped = false;  ///< `stop` asked for it before the last step
};

/// Runs one stage; `out` then holds the trained model as a checkpoint directory, `out`/model,
/// unless the run was stopped: it leaves its state alone.
///
/// `out`/state.safetensors is written every few minutes, whole or not at all; a killed run goes on
/// from it with `resume` and ends with the same bits as an unbroken one on as many threads; on a
/// GPU, which adds in any order, with nearly the same numbers.
///
/// on_progress  called with every report
/// throws       Error when a recipe or data are wrong, or when training diverges (the last good
///              checkpoint stays)
TrainResult train(const TrainOptions& options,
                  const std::function<void(const TrainProgress&)>& on_progress = nullptr);

}  // namespace groma::train
