#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <thread>

#include "check.h"
#include "groma/train.h"
#include "image/preprocess.h"
#include "io/file.h"
#include "torch_device.h"
#include "train/detection_stage.h"
#include "train/language_stage.h"
#include "train/master_weights.h"
#include "train/ranks.h"
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

std::shared_ptr<const TrainingData> open_data(const std::vector<DataSource>& sources,
                                              const TrainOptions& options, const Recipe& recipe,
                                              const StartingModel& start) {
  TrainingData::Options data;
  data.sources = sources;
  data.image_size = start.config.vision.image_size;
  data.norm = read_pixel_norm(start.directory, data.image_size);
  data.with_questions = recipe.stage != StageKind::kDetection;
  data.skip_wrong = options.skip_wrong;
  data.on_note = options.on_note;
  return std::make_shared<TrainingData>(std::move(data));
}

StageData stage_data(const TrainOptions& options, const Recipe& recipe,
                     const StartingModel& start) {
  StageData data;
  data.training =
      open_data(options.data.empty() ? recipe.data : options.data, options, recipe, start);
  const auto& held_out = options.validation.empty() ? recipe.validation_data : options.validation;
  if (!held_out.empty() || data.training->draws_only_worlds()) {
    data.validation = open_data(held_out, options, recipe, start);
  }
  return data;
}

Stage stage_for(const Recipe& recipe, const StartingModel& start, const StageData& data,
                uint64_t seed, at::Device device) {
  if (recipe.stage == StageKind::kDetection) {
    return detection_stage(recipe, start.config, data, seed, device);
  }
  return language_stage(recipe, start.config, *start.tokenizer, data, seed, device);
}

/// What a worker has to tell of a pass or of its share of the validation.
struct Told {
  double loss = 0;
  Metrics metrics;
};

/// All workers' tidings as text: numbers keep all their bits.
std::string written(const std::vector<Told>& workers) {
  std::ostringstream out;
  out << std::hexfloat;
  for (const auto& told : workers) {
    out << told.loss << '\n' << told.metrics.size() << '\n';
    for (const auto& [name, value] : told.metrics) out << name << '\n' << value << '\n';
  }
  return out.str();
}

void read_told(const std::string& text, std::vector<Told>& workers) {
  std::istringstream in(text);
  std::string line;
  const auto number = [&] { return std::strtod(line.c_str(), nullptr); };
  while (std::getline(in, line)) {
    Told told;
    told.loss = number();
    std::getline(in, line);
    for (auto left = static_cast<int>(number()); left > 0; --left) {
      std::string name;
      std::getline(in, name);
      std::getline(in, line);
      told.metrics[name] = number();
    }
    workers.push_back(std::move(told));
  }
}

class Run {
 public:
  Run(const TrainOptions& options, Recipe recipe, at::Device device, int threads, Ranks& ranks);

  TrainResult go(const std::function<void(const TrainProgress&)>& on_progress);

 private:
  void note_changes(const RunState& before) const;
  std::string outline() const;
  void start();
  double step(Metrics& sums);
  void pass(int64_t number, std::vector<Told>& told);
  void add_gradients(double share);
  void check_loss(double loss);
  std::vector<Told> of_all(const std::vector<Told>& own);
  int all_workers() const { return workers_.count() * ranks_.count(); }
  Metrics validate();
  void save();
  void report(const std::function<void(const TrainProgress&)>& on_progress);
  bool close_step(const std::function<void(const TrainProgress&)>& on_progress);

  TrainOptions options_;
  Recipe recipe_;
  Ranks& ranks_;
  StartingModel start_;
  MasterWeights weights_;
  StageData data_;
  Stage stage_;
  Workers workers_;
  std::vector<std::unique_ptr<Replica>> replicas_;
  RunState state_;
  std::unique_ptr<RunLog> log_;  // of the first process
  TrainProgress progress_;
  Clock::time_point begin_ = Clock::now(), saved_ = begin_;
  int64_t first_step_ = 0, summed_ = 0;
  double loss_sum_ = 0, usual_loss_ = 0;
  bool save_due_ = false;
  Metrics metric_sums_;
};

Run::Run(const TrainOptions& options, Recipe recipe, at::Device device, int threads, Ranks& ranks)
    : options_(options),
      recipe_(std::move(recipe)),
      ranks_(ranks),
      start_(starting_model(options.model, options.from, options.seed)),
      weights_(*start_.model, recipe_, options.seed, device),
      data_(stage_data(options, recipe_, start_)),
      stage_(stage_for(recipe_, start_, data_, options.seed, device)),
      workers_(threads) {
  state_.seed = options.seed;
  state_.threads = all_workers();
  state_.data = data_.training->description();
  state_.recipe = recipe_.text;
  const auto path = options.out + "/state.safetensors";
  if (options.resume) {
    const auto read = load_state(path, weights_);
    require(read.seed == options.seed, "resume '", path, "': it was run with seed ", read.seed,
            ", now ", options.seed, " was asked for");
    require(read.data == state_.data, "resume '", path,
            "': it learnt from other data; give the same as before");
    state_.step = read.step;
    note_changes(read);
  } else {
    require(!std::filesystem::exists(path), "train: '", path,
            "' exists already; go on with --resume, or give another --out");
  }
  first_step_ = state_.step;
  start_.model = nullptr;
  for (int i = 0; i < threads; ++i) {
    replicas_.push_back(std::make_unique<Replica>(start_.config, weights_, recipe_));
  }
}

/// Says what is other than when the run was saved; a lower rate, say, may well be meant.
void Run::note_changes(const RunState& before) const {
  if (!ranks_.first() || !options_.on_note) return;
  const auto changes = recipe_changes(before.recipe, state_.recipe);
  if (!changes.empty()) options_.on_note("resume: the recipe was another one: " + changes);
  if (before.threads == state_.threads) return;
  options_.on_note("resume: it was run with " + std::to_string(before.threads) +
                   " threads over all processes, now with " + std::to_string(state_.threads) +
                   "; only the same number ends with the bits of an unbroken run");
}

std::vector<Told> Run::of_all(const std::vector<Told>& own) {
  if (ranks_.count() == 1) return own;
  std::vector<Told> all;
  for (const auto& text : ranks_.gather(written(own))) read_told(text, all);
  return all;
}

void Run::pass(int64_t number, std::vector<Told>& told) {
  const int64_t count = all_workers(), batch = recipe_.batch;
  const double passes = static_cast<double>(count * recipe_.accumulate);
  ranks_.together([&] {
    workers_.run([&](int own) {
      auto& replica = *replicas_[own];
      if (number == 0) replica.refresh();
      replica.merge_adapters();
      const int64_t w = ranks_.rank() * workers_.count() + own;
      Work work;
      work.seed = state_.seed;
      work.step = state_.step;
      work.first = (state_.step * recipe_.accumulate + number) * batch + batch * w / count;
      work.count = batch * (w + 1) / count - batch * w / count;
      work.progress =
          static_cast<double>(state_.step) / static_cast<double>(recipe_.schedule.steps);
      const auto result = stage_.losses(*replica.model, work);
      told[own].loss += result.total.item<double>() / passes;
      for (const auto& [name, value] : result.metrics) told[own].metrics[name] += value / passes;
      result.total.backward();
    });
  });
  add_gradients(1 / passes);
}

/// Adds what the replicas have found to the master's gradients.
void Run::add_gradients(double share) {
  const auto add = [&](size_t entry) {
    for (auto& replica : replicas_) replica->hand_over(entry, share);
  };
  if (weights_.gradients.is_cuda()) {  // the processes' sums meet once a step
    for (size_t i = 0; i < weights_.entries.size(); ++i) {
      if (weights_.entries[i].moves) add(i);
    }
    return;
  }
  // Part by part: while one process adds to the second part, the next one adds to the first.
  constexpr int64_t kPart = int64_t{1} << 22;  // values
  int64_t begin = 0, end = 0;
  std::vector<size_t> members;
  for (size_t i = 0; i < weights_.entries.size(); ++i) {
    if (weights_.entries[i].moves) {
      members.push_back(i);
      end += weights_.entries[i].value.numel();
    }
    if (end - begin < kPart && (i + 1 < weights_.entries.size() || members.empty())) continue;
    auto part = weights_.gradients.narrow(0, begin, end - begin);
    ranks_.add_in_turn(part, [&] {
      for (const auto member : members) add(member);
    });
    begin = end;
    members.clear();
  }
  ranks_.share_last(weights_.gradients);
}

double Run::step(Metrics& sums) {
  std::vector<Told> told(workers_.count());
  weights_.gradients.zero_();
  for (int64_t a = 0; a < recipe_.accumulate; ++a) pass(a, told);
  if (weights_.gradients.is_cuda()) ranks_.sum_on_gpus(weights_.gradients);
  double loss = 0;
  for (const auto& worker : of_all(told)) {
    loss += worker.loss;
    for (const auto& [name, value] : worker.metrics) sums[name] += value;
  }
  check_loss(loss);
  if (save_due_) ranks_.together([&] { save(); });
  const double rate = recipe_.optimizer.rate * recipe_.schedule.at(state_.step);
  const double norm = weights_.update(recipe_.optimizer, rate);
  require(std::isfinite(norm), "train: step ", state_.step, ": the gradient's norm is ", norm,
          "; the last checkpoint is good: lower the rate and resume");
  progress_.rate = rate;
  ++state_.step;
  return loss;
}

/// Stops a run that diverges, before its weights replace a good checkpoint.
void Run::check_loss(double loss) {
  constexpr double kExplosion = 20;  // times the usual loss
  require(std::isfinite(loss), "train: step ", state_.step, ": the loss is ", loss,
          "; the last checkpoint is good: lower the rate and resume");
  usual_loss_ = usual_loss_ == 0 ? loss : 0.98 * usual_loss_ + 0.02 * loss;
  require(loss < kExplosion * usual_loss_ + 1, "train: step ", state_.step, ": the loss jumped to ",
          loss, " from about ", usual_loss_,
          "; the last checkpoint is good: lower the rate and resume");
}

Metrics Run::validate() {
  std::vector<Told> told(workers_.count());
  weights_.swap_averages();
  ranks_.together([&] {
    workers_.run([&](int own) {
      const at::NoGradGuard no_gradients;
      replicas_[own]->refresh();
      replicas_[own]->merge_adapters();
      const int64_t w = ranks_.rank() * workers_.count() + own, count = all_workers();
      const auto scenes = recipe_.validation_scenes;
      const auto first = scenes * w / count;
      told[own].metrics =
          stage_.validate(*replicas_[own]->model, first, scenes * (w + 1) / count - first);
    });
  });
  weights_.swap_averages();
  Metrics sums, result;
  for (const auto& part : of_all(told)) {
    for (const auto& [name, value] : part.metrics) sums[name] += value;
  }
  for (const auto& [name, value] : sums) {
    if (name.starts_with("n.")) continue;
    result[name] = value / std::max(1.0, sums["n." + name]);
  }
  return result;
}

void Run::save() {
  if (ranks_.first()) save_state(options_.out + "/state.safetensors", weights_, state_);
  saved_ = Clock::now();
  save_due_ = false;
}

void Run::report(const std::function<void(const TrainProgress&)>& on_progress) {
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
  loss_sum_ = 0;
  summed_ = 0;
  metric_sums_.clear();
  if (!ranks_.first()) return;
  log_->add(progress_);
  if (on_progress) on_progress(progress_);
}

/// One line on what the run is about to do.
std::string Run::outline() const {
  int64_t all = 0;
  for (const auto& entry : weights_.entries) all += entry.value.numel();
  const auto moving = weights_.gradients.numel();
  auto data = data_.training->outline();
  if (data.empty()) data = "world " + recipe_.world;
  std::ostringstream text;
  text << "train: " << moving << " of " << all << " parameters move, on " << data << "; steps "
       << state_.step << " to " << recipe_.schedule.steps << " on "
       << weights_.gradients.device().str() << " with " << all_workers() << " threads";
  return text.str();
}

void Run::start() {
  ranks_.together([&] {
    if (!ranks_.first()) return;
    if (options_.on_note) options_.on_note(outline());
    log_ = std::make_unique<RunLog>(options_.out, state_.step);
    save();
  });
}

/// Validates, reports and saves where a step asks for it.   returns false when the run shall end
bool Run::close_step(const std::function<void(const TrainProgress&)>& on_progress) {
  const bool last = state_.step == recipe_.schedule.steps;
  progress_.validation.clear();
  if (last || state_.step % recipe_.validate_every == 0) {
    if (recipe_.validation_scenes > 0 && stage_.validate) progress_.validation = validate();
  }
  const bool reports =
      last || state_.step % options_.report_every == 0 || !progress_.validation.empty();
  if (reports) ranks_.together([&] { report(on_progress); });
  // Weights are saved once their own loss is known to be good: in the next step, before its update.
  const bool due = seconds_since(saved_) > 60 * recipe_.checkpoint_minutes;
  const bool stop = options_.stop && options_.stop(state_.step);
  const auto wishes = ranks_.gather(stop ? "stop" : due ? "due" : "");
  save_due_ = wishes[0] == "due";  // by the first one's clock
  const bool stopped = !last && std::find(wishes.begin(), wishes.end(), "stop") != wishes.end();
  if (last || stopped) ranks_.together([&] { save(); });
  return !stopped;
}

TrainResult Run::go(const std::function<void(const TrainProgress&)>& on_progress) {
  TrainResult result;
  start();
  while (state_.step < recipe_.schedule.steps) {
    const double loss = step(metric_sums_);
    loss_sum_ += loss;
    ++summed_;
    if (close_step(on_progress)) continue;
    result.stopped = true;
    break;
  }
  ranks_.together([&] {
    const bool exports = ranks_.first() && !result.stopped;
    if (exports) start_.export_model(weights_, options_.out + "/model");
  });
  result.steps = state_.step;
  result.loss = progress_.loss;
  result.validation = progress_.validation;
  return result;
}

}  // namespace

TrainResult train(const TrainOptions& options,
                  const std::function<void(const TrainProgress&)>& on_progress) {
  auto recipe = read_recipe(options.recipe);
  const std::string stage = stage_name(recipe.stage);
  require(options.stage.empty() || options.stage == stage, "train: the stage '", options.stage,
          "' was asked for, '", options.recipe, "' is a recipe of the stage '", stage,
          "'; give that stage's recipe, or none but the recipe");
  require(options.steps >= 0, "train: ", options.steps,
          " steps; give 1 or more, or 0 for as many as the recipe says");
  require(options.threads >= 0, "train: ", options.threads,
          " threads; give 1 or more, or 0 for all cores");
  if (options.steps > 0) recipe.schedule.steps = options.steps;
  recipe.frozen.insert(recipe.frozen.end(), options.freeze.begin(), options.freeze.end());
  recipe.schedule.decay = std::min(recipe.schedule.decay, recipe.schedule.steps);
  require(options.report_every > 0, "train: report every ", options.report_every,
          " steps; give 1 or more");
  require(!options.out.empty(), "train: no folder for the results; give --out");
  io::make_folder(options.out);
  at::set_num_threads(1);  // the workers are the threads
  Ranks ranks;
  std::unique_ptr<Run> run;
  ranks.together([&] {
    const auto device = torch_device(options.device, "train");
    if (device.is_cpu()) at::globalContext().setSDPUseFlash(false);  // its backward is slower there
    const int cores = device.is_cpu() ? static_cast<int>(std::thread::hardware_concurrency()) : 1;
    const int threads = options.threads > 0 ? options.threads : std::max(1, cores);
    run = std::make_unique<Run>(options, std::move(recipe), device, threads, ranks);
  });
  return run->go(on_progress);
}

}  // namespace groma::train
