#include <ATen/ATen.h>
#include <malloc.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <thread>

#include "check.h"
#include "groma/train.h"
#include "io/file.h"
#include "train/detection_stage.h"
#include "train/language_stage.h"
#include "train/master_weights.h"
#include "train/run_log.h"
#include "train/run_state.h"
#include "train/starting_model.h"
#include "train/workers.h"

namespace groma::train {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Page faults of freshly mapped memory cost a fifth of the time; keep what was used once.
void keep_freed_memory() {
  constexpr int kKeep = 512 << 20;
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, kKeep);
  mallopt(M_TOP_PAD, 64 << 20);
}

Stage stage_for(const Recipe& recipe, const StartingModel& start, uint64_t seed) {
  if (recipe.stage == StageKind::kDetection) return detection_stage(recipe, start.config, seed);
  return language_stage(recipe, start.config, *start.tokenizer, seed);
}

class Run {
 public:
  Run(const TrainOptions& options, Recipe recipe, int threads);

  TrainResult go(const std::function<bool(const TrainProgress&)>& on_progress);

 private:
  double step(Metrics& sums);
  Metrics validate();
  void save();
  bool report(const std::function<bool(const TrainProgress&)>& on_progress);

  TrainOptions options_;
  Recipe recipe_;
  StartingModel start_;
  MasterWeights weights_;
  Stage stage_;
  Workers workers_;
  std::vector<std::unique_ptr<Replica>> replicas_;
  RunState state_;
  RunLog log_;
  TrainProgress progress_;
  Clock::time_point begin_ = Clock::now(), saved_ = begin_;
  int64_t first_step_ = 0, summed_ = 0;
  double loss_sum_ = 0, usual_loss_ = 0;
  Metrics metric_sums_;
};

Run::Run(const TrainOptions& options, Recipe recipe, int threads)
    : options_(options),
      recipe_(std::move(recipe)),
      start_(starting_model(options.model, options.from, options.seed)),
      weights_(*start_.model, recipe_),
      stage_(stage_for(recipe_, start_, options.seed)),
      workers_(threads),
      log_(options.out) {
  state_.seed = options.seed;
  state_.threads = threads;
  state_.recipe = recipe_.text;
  const auto path = options.out + "/state.safetensors";
  if (options.resume) {
    const auto read = load_state(path, weights_);
    require(read.seed == options.seed, "resume '", path, "': it was run with seed ", read.seed,
            ", now ", options.seed, " was asked for");
    state_.step = read.step;
  } else {
    require(!std::filesystem::exists(path), "train: '", path,
            "' exists already; go on with --resume, or give another --out");
  }
  first_step_ = state_.step;
  start_.model = nullptr;
  for (int i = 0; i < threads; ++i) {
    replicas_.push_back(std::make_unique<Replica>(start_.config, weights_, recipe_));
  }
  log_.cut(state_.step);
}

double Run::step(Metrics& sums) {
  const int count = workers_.count();
  std::vector<double> losses(count, 0);
  std::vector<Metrics> metrics(count);
  weights_.gradients.zero_();
  const double passes = static_cast<double>(count * recipe_.accumulate);
  for (int64_t a = 0; a < recipe_.accumulate; ++a) {
    workers_.run([&](int w) {
      auto& replica = *replicas_[w];
      if (a == 0) replica.refresh();
      const auto batch = recipe_.batch;
      Work work;
      work.seed = state_.seed;
      work.step = state_.step;
      work.first = (state_.step * recipe_.accumulate + a) * batch + batch * w / count;
      work.count = batch * (w + 1) / count - batch * w / count;
      work.progress =
          static_cast<double>(state_.step) / static_cast<double>(recipe_.schedule.steps);
      const auto result = stage_.losses(*replica.model, work);
      losses[w] += result.total.item<double>() / passes;
      for (const auto& [name, value] : result.metrics) metrics[w][name] += value / passes;
      result.total.backward();
    });
    for (auto& replica : replicas_) replica->hand_over(weights_, 1 / passes);
  }
  double loss = 0;
  for (int w = 0; w < count; ++w) {
    loss += losses[w];
    for (const auto& [name, value] : metrics[w]) sums[name] += value;
  }
  const double rate = recipe_.optimizer.rate * recipe_.schedule.at(state_.step);
  const double norm = weights_.update(recipe_.optimizer, rate);
  require(std::isfinite(loss) && std::isfinite(norm), "train: step ", state_.step, ": loss ", loss,
          ", gradient norm ", norm, "; the last checkpoint is good: lower the rate and resume");
  progress_.rate = rate;
  ++state_.step;
  return loss;
}

Metrics Run::validate() {
  const int count = workers_.count();
  std::vector<Metrics> parts(count);
  workers_.run([&](int w) {
    const at::NoGradGuard no_gradients;
    replicas_[w]->refresh();
    const auto scenes = recipe_.validation_scenes;
    const auto first = scenes * w / count;
    parts[w] = stage_.validate(*replicas_[w]->model, first, scenes * (w + 1) / count - first);
  });
  Metrics sums, result;
  for (const auto& part : parts) {
    for (const auto& [name, value] : part) sums[name] += value;
  }
  for (const auto& [name, value] : sums) {
    if (name.starts_with("n.")) continue;
    result[name] = value / std::max(1.0, sums["n." + name]);
  }
  return result;
}

void Run::save() {
  save_state(options_.out + "/state.safetensors", weights_, state_);
  saved_ = Clock::now();
}

bool Run::report(const std::function<bool(const TrainProgress&)>& on_progress) {
  const auto n = static_cast<double>(std::max<int64_t>(summed_, 1));
  progress_.step = state_.step;
  progress_.steps = recipe_.schedule.steps;
  progress_.seconds = seconds_since(begin_);
  progress_.seconds_left = progress_.seconds /
                           static_cast<double>(std::max<int64_t>(state_.step - first_step_, 1)) *
                           static_cast<double>(recipe_.schedule.steps - state_.step);
  progress_.loss = loss_sum_ / n;
  progress_.metrics.clear();
  for (const auto& [name, value] : metric_sums_) progress_.metrics[name] = value / n;
  log_.add(progress_);
  loss_sum_ = 0;
  summed_ = 0;
  metric_sums_.clear();
  return !on_progress || on_progress(progress_);
}

TrainResult Run::go(const std::function<bool(const TrainProgress&)>& on_progress) {
  constexpr double kExplosion = 20;  // times the usual loss
  TrainResult result;
  save();
  while (state_.step < recipe_.schedule.steps) {
    const double loss = step(metric_sums_);
    loss_sum_ += loss;
    ++summed_;
    usual_loss_ = usual_loss_ == 0 ? loss : 0.98 * usual_loss_ + 0.02 * loss;
    require(loss < kExplosion * usual_loss_ + 1, "train: step ", state_.step,
            ": the loss jumped to ", loss, " from about ", usual_loss_,
            "; the last checkpoint is good: lower the rate and resume");
    const bool last = state_.step == recipe_.schedule.steps;
    progress_.validation.clear();
    if (last || state_.step % recipe_.validate_every == 0) {
      if (recipe_.validation_scenes > 0 && stage_.validate) progress_.validation = validate();
    }
    if (last || state_.step % options_.report_every == 0 || !progress_.validation.empty()) {
      if (!report(on_progress)) result.stopped = true;
    }
    if (last || result.stopped || seconds_since(saved_) > 60 * recipe_.checkpoint_minutes) save();
    if (result.stopped) break;
  }
  start_.export_model(weights_, options_.out + "/model");
  result.steps = state_.step;
  result.loss = progress_.loss;
  result.validation = progress_.validation;
  return result;
}

}  // namespace

TrainResult train(const TrainOptions& options,
                  const std::function<bool(const TrainProgress&)>& on_progress) {
  auto recipe = read_recipe(options.recipe);
  if (options.steps > 0) recipe.schedule.steps = options.steps;
  recipe.schedule.decay = std::min(recipe.schedule.decay, recipe.schedule.steps);
  require(options.report_every > 0, "train: report every ", options.report_every,
          " steps; give 1 or more");
  require(!options.out.empty(), "train: no folder for the results; give --out");
  io::make_folder(options.out);
  keep_freed_memory();
  at::globalContext().setSDPUseFlash(false);  // its backward is the slower one on a CPU
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  const int threads = options.threads > 0 ? options.threads : std::max(1, cores);
  at::set_num_threads(1);  // the workers are the threads
  Run run(options, std::move(recipe), threads);
  return run.go(on_progress);
}

}  // namespace groma::train
