// groma eval run: annotation file and model -> run folder.

#include <ATen/ATen.h>
#include <ATen/Version.h>
#include <torch/version.h>

#include <chrono>
#include <filesystem>
#include <future>
#include <unordered_map>

#include "check.h"
#include "eval/annotations.h"
#include "eval/examiner.h"
#include "eval/image_finder.h"
#include "eval/image_loader.h"
#include "eval/questions.h"
#include "eval/run_folder.h"
#include "io/file.h"
#include "io/sha256.h"

namespace groma::eval {
namespace {

namespace fs = std::filesystem;

void check(const RunOptions& options, int prompts) {
  require(options.shards >= 1 && options.shard >= 0 && options.shard < options.shards, "shard ",
          options.shard, "/", options.shards, ": give i/n with 0 <= i < n");
  require(options.batch >= 1 && options.batch <= 256, "batch is ", options.batch,
          "; give 1 to 256");
  require(options.prompt_index >= kAllPrompts && options.prompt_index < prompts, "prompt_index is ",
          options.prompt_index, "; ", name_of(options.protocol), " has instructions 0 to ",
          prompts - 1);
}

/// Where each picture of the asked samples is; empty: nowhere.
std::unordered_map<std::string, std::string> find_images(const RunOptions& options,
                                                         const Dataset& dataset,
                                                         const SampleList& list,
                                                         const RunHooks& hooks) {
  std::vector<std::string> roots = options.images;
  if (roots.empty()) roots.push_back(fs::path(options.annotations.path).parent_path().string());
  ImageFinder finder(roots);
  std::unordered_map<std::string, std::string> paths;
  std::vector<std::string> missing;
  for (const Sample& sample : list.samples) {
    const std::string& name = dataset.entries[sample.entry].image;
    require(!name.empty(), "find pictures: entry ", dataset.entries[sample.entry].label(), " of ",
            io::quote(dataset.path), " names no picture; give it a file_name");
    if (paths.contains(name)) continue;
    const auto path = finder.find(name);
    paths[name] = path.value_or("");
    if (!path) missing.push_back(name);
  }
  if (hooks.on_note) {
    hooks.on_note(std::to_string(list.samples.size()) + " samples, " +
                  std::to_string(paths.size()) + " pictures: " + finder.summary());
  }
  require(missing.empty() || options.skip_missing, "find pictures: ", missing.size(), " of ",
          paths.size(), " are not there: ", some_of(missing),
          "; name their folder with --images, or count them as wrong with --skip-missing");
  return paths;
}

const char* name_of(Device device) { return device == Device::kCuda ? "cuda" : "cpu"; }

/// Everything that decides what the answers are.
Json identity_of(const RunOptions& options, const Groma::Impl& engine, const std::string& model_sum,
                 const std::vector<std::string>& prompts) {
  const SelectConfig select = select_config(engine, options.regions);
  Json out;
  out["protocol"] = name_of(options.protocol);
  out["seed"] = options.seed;
  out["limit"] = options.limit;
  out["prompt_index"] = options.prompt_index == kAllPrompts ? "all"
                        : options.prompt_index == kRandomPrompt
                            ? "random"
                            : std::to_string(options.prompt_index);
  out["prompts"] = prompts;
  out["box_order"] = options.by_score ? "score" : "random";
  out["constrain"] = options.constrain;
  out["max_new_tokens"] = answer_length(options.protocol);
  out["box_score"] = select.box_score;
  out["nms_iou"] = select.nms_iou;
  out["max_regions"] = select.max_regions;
  out["tiles"] = options.regions.tiles;
  out["tile_features"] = options.regions.tile_features;
  out["resize"] = "bilinear";
  out["skip_missing"] = options.skip_missing;
  out["batch"] = options.batch;
  out["threads"] = engine.threads;
  out["device"] = name_of(options.load.device);
  out["precision"] = engine.info.compute_dtype;
  out["model_sha256"] = model_sum;
  out["annotations_sha256"] = io::sha256_of_path(options.annotations.path);
  out["version"] = GROMA_VERSION;
  out["build"] = {
      {"compiler", __VERSION__}, {"libtorch", TORCH_VERSION}, {"cpu", at::get_cpu_capability()}};
  return out;
}

/// A picture that questions are being asked about.
struct Seen {
  std::unique_ptr<Session::Impl> picture;
  Timings timings;    // of seeing it; told with its first answer
  std::string error;  // why it cannot be asked about
};

/// Says what is wrong with a picture's size; empty: nothing.
std::string size_error(const Entry& entry, const Image& image) {
  if (entry.width == 0 || entry.height == 0) return "";
  if (entry.width == image.width() && entry.height == image.height()) return "";
  const auto size = [](int width, int height) {
    return std::to_string(width) + " x " + std::to_string(height);
  };
  const bool turned = entry.width == image.height() && entry.height == image.width();
  return "the picture is " + size(image.width(), image.height()) +
         " pixels as displayed, its annotation says " + size(entry.width, entry.height) +
         (turned ? ", which fits only the frame without the turn of its EXIF orientation" : "");
}

/// Why a question about a picture cannot be asked; empty: it can. Entries that share a picture may
/// give it different sizes, so each is held to its own.
std::string why_not_askable(const Seen& seen, const Entry& entry) {
  return seen.error.empty() ? size_error(entry, seen.picture->image) : seen.error;
}

std::string times_line(const std::string& key, const Timings& seen, const Timings& t) {
  return json_line({{"key", key},
                    {"preprocess_ms", seen.preprocess_ms},
                    {"vision_ms", seen.vision_ms},
                    {"proposer_ms", seen.proposer_ms},
                    {"regions_ms", seen.regions_ms + t.regions_ms},
                    {"prefill_ms", seen.prefill_ms + t.prefill_ms},
                    {"decode_ms", t.decode_ms},
                    {"prompt_positions", t.prompt_positions},
                    {"generated_tokens", t.generated_tokens}}) +
         '\n';
}

/// Asks what is still to be asked.
class Questioner {
 public:
  Questioner(const RunOptions& options, const Dataset& dataset, const SampleList& list,
             const std::vector<std::string>& prompts,
             const std::unordered_map<std::string, std::string>& paths, Examiner examiner,
             RunFolder& folder)
      : options_(options),
        dataset_(dataset),
        list_(list),
        prompts_(prompts),
        paths_(paths),
        examiner_(std::move(examiner)),
        folder_(folder),
        asks_(plan_asks(dataset, list, static_cast<int>(prompts.size()), options)) {}

  /// Returns false when it was told to stop.
  bool run(const RunHooks& hooks) {
    const auto batches = open_batches();
    ImageLoader loader(pictures_of(batches), options_.loaders);
    std::size_t done = 0;
    for (const Ask& ask : asks_) done += folder_.keys().contains(ask.key);
    const std::size_t before = done;
    const auto begin = std::chrono::steady_clock::now();
    for (const std::size_t first : batches) {
      const std::size_t last = std::min(first + options_.batch, asks_.size());
      for (std::size_t i = first; i < last; ++i) see(asks_[i], loader);
      done += answer(first, last);
      // Questions about one picture stand together: only the last can be asked about again.
      const std::string& kept = image_of(asks_[last - 1]);
      std::erase_if(seen_, [&](const auto& item) { return item.first != kept; });
      if (!hooks.on_progress) continue;
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
      RunProgress progress{done, asks_.size(), 0, 0};
      progress.per_second = static_cast<double>(done - before) / std::max(1e-9, seconds.count());
      progress.seconds_left = static_cast<double>(asks_.size() - done) / progress.per_second;
      if (!hooks.on_progress(progress) && done < asks_.size()) return false;
    }
    return true;
  }

 private:
  const std::string& image_of(const Ask& ask) const {
    return dataset_.entries[list_.samples[ask.sample].entry].image;
  }

  /// First places of the batches that lack an answer. A batch is asked as a whole even when only
  /// some of it is missing: its answers share their computation, to the last bit.
  std::vector<std::size_t> open_batches() const {
    std::vector<std::size_t> out;
    for (std::size_t first = 0; first < asks_.size(); first += options_.batch) {
      const std::size_t last = std::min(first + options_.batch, asks_.size());
      bool open = false;
      for (std::size_t i = first; i < last; ++i) open |= !folder_.keys().contains(asks_[i].key);
      if (open) out.push_back(first);
    }
    return out;
  }

  /// The pictures in the order in which `see` asks for them.
  std::vector<std::string> pictures_of(const std::vector<std::size_t>& batches) const {
    std::vector<std::string> out;
    const std::string* before = nullptr;
    for (const std::size_t first : batches) {
      for (std::size_t i = first; i < std::min(first + options_.batch, asks_.size()); ++i) {
        const std::string& image = image_of(asks_[i]);
        if (before != nullptr && *before == image) continue;
        before = &image;
        if (!paths_.at(image).empty()) out.push_back(paths_.at(image));
      }
    }
    return out;
  }

  void see(const Ask& ask, ImageLoader& loader) {
    const std::string& name = image_of(ask);
    if (seen_.contains(name) || paths_.at(name).empty()) return;
    Seen& seen = seen_[name];
    auto loaded = loader.next();
    seen.error = loaded.error;
    if (!seen.error.empty()) return;
    try {
      seen.picture = examiner_.see(*loaded.image, seen.timings);
    } catch (const Error& error) {
      seen.error = error.what();
    }
  }

  /// Asks a batch and writes the answers that are new; returns their number.
  std::size_t answer(std::size_t first, std::size_t last) {
    std::vector<ExamQuestion> questions;
    std::vector<std::size_t> places;  // in asks_, of each question
    std::vector<ExamAnswer> answers(last - first);
    for (std::size_t i = first; i < last; ++i) {
      const Sample& sample = list_.samples[asks_[i].sample];
      Prediction& blank = answers[i - first].prediction;
      const auto seen = seen_.find(image_of(asks_[i]));
      blank.skipped = seen == seen_.end();
      blank.error = blank.skipped ? "the picture is missing"
                                  : why_not_askable(seen->second, dataset_.entries[sample.entry]);
      if (!blank.error.empty()) continue;
      ExamQuestion question{seen->second.picture.get(), pieces_of(asks_[i]), std::nullopt,
                            asks_[i].shuffle_seed};
      if (options_.protocol == Protocol::kCaption) {
        question.box = dataset_.annotations[sample.boxes[0]].bbox;
      }
      questions.push_back(std::move(question));
      places.push_back(i - first);
    }
    auto said = examiner_.ask(questions);
    for (std::size_t q = 0; q < said.size(); ++q) answers[places[q]] = std::move(said[q]);
    std::size_t fresh = 0;
    for (std::size_t i = first; i < last; ++i) {
      if (folder_.keys().contains(asks_[i].key)) continue;
      write(asks_[i], answers[i - first]);
      ++fresh;
    }
    return fresh;
  }

  std::vector<TextPiece> pieces_of(const Ask& ask) const {
    if (options_.protocol == Protocol::kProposals) return {};
    return question_of(dataset_, list_.samples[ask.sample], options_.protocol,
                       prompts_[ask.prompt]);
  }

  void write(const Ask& ask, ExamAnswer& answer) {
    const Entry& entry = dataset_.entries[list_.samples[ask.sample].entry];
    Prediction& line = answer.prediction;
    line.key = ask.key;
    line.image_id = entry.id;
    line.image = entry.image;
    line.prompt = text_of(pieces_of(ask));
    folder_.add(line);
    const auto seen = seen_.find(entry.image);
    folder_.add_times(times_line(ask.key, seen == seen_.end() ? Timings{} : seen->second.timings,
                                 answer.timings));
    if (seen != seen_.end()) seen->second.timings = {};
  }

  const RunOptions& options_;
  const Dataset& dataset_;
  const SampleList& list_;
  const std::vector<std::string>& prompts_;
  const std::unordered_map<std::string, std::string>& paths_;
  const Examiner examiner_;
  RunFolder& folder_;
  const std::vector<Ask> asks_;
  std::unordered_map<std::string, Seen> seen_;
};

}  // namespace

RunResult run_evaluation(const RunOptions& options, const RunHooks& hooks) {
  const auto& prompts = instructions(options.protocol, options.detailed);
  check(options, static_cast<int>(prompts.size()));
  Dataset dataset = read_annotations(options.annotations);
  resolve_categories(dataset);
  const SampleList list = list_samples(dataset, options.protocol, options.limit);
  if (hooks.on_note) {
    for (const std::string& warning : dataset.warnings) hooks.on_note(warning);
    hooks.on_note(io::quote(options.annotations.path) + ": " + name_of(dataset.format));
  }
  const auto paths = find_images(options, dataset, list, hooks);

  // The sum of a large checkpoint takes as long as loading it.
  auto sum = std::async(std::launch::async, [&] { return io::sha256_of_path(options.model); });
  const auto engine = load_engine(options.model, options.load);
  RunRecord record;
  record.identity = identity_of(options, *engine, sum.get(), prompts);
  record.shard = options.shard;
  record.shards = options.shards;
  record.annotations = options.annotations;
  record.annotations.path = fs::absolute(options.annotations.path).string();
  for (const std::string& root : options.images) record.images.push_back(fs::absolute(root));
  if (record.images.empty()) {
    record.images.push_back(fs::path(record.annotations.path).parent_path());
  }
  record.model = fs::absolute(options.model);
  record.rule = options.rule;
  record.as_many_cut = options.as_many_cut;
  record.start = utc_now();

  RunFolder folder(options.out, record, options.resume);
  RunResult result;
  Questioner questioner(options, dataset, list, prompts, paths, Examiner(engine, options), folder);
  result.stopped = !questioner.run(hooks);
  result.answers = folder.keys().size();
  result.failed = folder.failed();
  result.skipped = folder.skipped();
  if (result.stopped) return result;
  folder.finish(dataset, list);
  if (options.shards > 1) return result;
  RunScoreOptions scoring;
  scoring.report_errors = options.report_errors;
  result.report = score_runs({options.out}, scoring);
  return result;
}

}  // namespace groma::eval
