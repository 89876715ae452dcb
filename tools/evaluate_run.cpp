// groma eval run

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "args.h"
#include "check.h"
#include "commands.h"
#include "evaluate_args.h"
#include "groma/evaluate.h"
#include "interrupt.h"
#include "ranks.h"
#include "terminal.h"

namespace groma {
namespace {

enum ExitCode { kFailed = 1, kSamplesFailed = 3, kInterrupted = 130 };

struct RunArgs {
  cli::ModelArgs model;
  eval::RunOptions options;
  std::string shard;
  std::optional<eval::RecRule> rule;
  std::optional<bool> as_many_cut;
  bool json = false;
};

/// "2/7": part 2 of the parts 0 to 6.
void read_shard(const std::string& text, eval::RunOptions& options) {
  const char* const end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, options.shard);
  const bool slash = first.ec == std::errc() && first.ptr != end && *first.ptr == '/';
  const auto second =
      slash ? std::from_chars(first.ptr + 1, end, options.shards) : std::from_chars_result{end, {}};
  const bool good = slash && second.ec == std::errc() && second.ptr == end && options.shard >= 0 &&
                    options.shard < options.shards;
  if (!good) {
    throw CLI::ValidationError("--shard", "'" + text + "' is not i/n with 0 <= i < n, as 0/4");
  }
}

void read_prompt_index(const std::string& text, int& index) {
  if (text == "random" || text == "all") {
    index = text == "all" ? eval::kAllPrompts : eval::kRandomPrompt;
    return;
  }
  const char* const end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, index);
  if (result.ec != std::errc() || result.ptr != end || index < 0) {
    throw CLI::ValidationError("--prompt-index", "'" + text + "' is no number, random or all");
  }
}

std::string clock_of(double seconds) {
  const auto whole = static_cast<long>(std::min(seconds, 1e8));
  char text[48];
  std::snprintf(text, sizeof(text), "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
  return text;
}

std::string progress_note(const eval::RunProgress& progress) {
  char rate[32];
  std::snprintf(rate, sizeof(rate), "%.1f", progress.per_second);
  return std::to_string(progress.done) + "/" + std::to_string(progress.total) + "  " + rate +
         " a second  " + clock_of(progress.seconds_left) + " left";
}

/// The part of this process; returns the exit status.
int run_part(const eval::RunOptions& options, bool talks, bool print_json) {
  const cli::StoppableAnswer stoppable;  // the first Ctrl-C ends the run between two answers
  cli::ProgressBar bar("asking");
  eval::RunHooks hooks;
  hooks.on_note = [&](const std::string& line) {
    if (talks) std::cerr << "groma eval run: " << line << '\n';
  };
  hooks.on_progress = [&](const eval::RunProgress& progress) {
    const double part = static_cast<double>(progress.done) /
                        static_cast<double>(std::max<size_t>(1, progress.total));
    if (talks) bar.show(part, progress_note(progress));
    return cli::interrupts() == 0;
  };
  const auto result = eval::run_evaluation(options, hooks);
  if (result.stopped) {
    std::cerr << "groma eval run: stopped after " << result.answers
              << " answers; go on with --resume\n";
    return kInterrupted;
  }
  if (result.report) {
    cli::print_warnings(result.report->warnings);
    std::cout << (print_json ? result.report->json() : result.report->table());
  }
  return result.failed > 0 ? kSamplesFailed : 0;
}

/// The folders of the parts, below that of the whole run.
///
/// throws    Error when a run of another number of processes is there
std::vector<std::string> part_folders(const std::string& out, int count) {
  namespace fs = std::filesystem;
  const std::string ending = "-of-" + std::to_string(count);
  std::vector<std::string> folders;
  for (int i = 0; i < count; ++i) {
    folders.push_back((fs::path(out) / ("shard-" + std::to_string(i) + ending)).string());
  }
  std::error_code none_there;
  bool other = fs::exists(fs::path(out) / "run.json") && !fs::exists(folders[0]);
  for (const auto& entry : fs::directory_iterator(out, none_there)) {
    const std::string name = entry.path().filename().string();
    other |= name.starts_with("shard-") && !name.ends_with(ending);
  }
  require(!other, "run into '", out, "': it holds a run of another number of processes than ",
          count, "; start as many as then, or choose another folder");
  return folders;
}

/// Each process takes a shard; the first one puts them together.
int run_ranks(const cli::Ranks& ranks, const RunArgs& args) {
  eval::RunOptions options = args.options;
  options.shard = ranks.rank();
  options.shards = ranks.count();
  std::vector<std::string> folders;
  int status = kFailed;
  std::string complaint;
  try {
    folders = part_folders(options.out, ranks.count());
    options.out = folders[ranks.rank()];
    if (options.load.device == Device::kCuda) cli::choose_gpu();
    status = run_part(options, ranks.rank() == 0, false);
  } catch (const std::exception& error) {
    complaint = error.what();
  }
  // What fails in one process usually fails in all: one of them tells.
  const int first_complaint = -ranks.largest(complaint.empty() ? -ranks.count() : -ranks.rank());
  if (!complaint.empty() && ranks.rank() == first_complaint) {
    std::cerr << "groma: " << complaint.substr(0, complaint.find('\n')) << '\n';
  }
  const int worst = ranks.largest(complaint.empty() ? status : kFailed);
  const bool whole = first_complaint == ranks.count() && worst != kInterrupted;
  if (!whole || ranks.rank() != 0) return worst;
  eval::RunScoreOptions scoring;
  scoring.out = args.options.out;
  scoring.report_errors = args.options.report_errors;
  const auto report = eval::score_runs(folders, scoring);
  cli::print_warnings(report.warnings);
  std::cout << (args.json ? report.json() : report.table());
  return worst;
}

void run(RunArgs& args) {
  const cli::Ranks ranks;
  args.options.model = args.model.directory;
  args.options.load = args.model.options;
  args.options.rule = args.rule.value_or(args.options.rule);
  args.options.as_many_cut = args.as_many_cut.value_or(args.options.as_many_cut);
  if (ranks.count() > 1 && !args.shard.empty()) {
    throw CLI::ValidationError("--shard", "mpirun shares the samples out itself");
  }
  if (!args.shard.empty()) read_shard(args.shard, args.options);
  const int status =
      ranks.count() > 1 ? run_ranks(ranks, args) : run_part(args.options, true, args.json);
  std::cout << std::flush;
  if (status != 0) throw ExitStatus{status};
}

void add_asking_options(CLI::App& command, RunArgs& args) {
  eval::RunOptions& options = args.options;
  cli::add_seed_option(command, options.seed, "Of instructions and region numbers");
  command
      .add_option_function<std::string>(
          "--prompt-index",
          [&options](const std::string& text) { read_prompt_index(text, options.prompt_index); },
          "Which instruction: a number, random (default) or all")
      ->type_name("I");
  cli::add_choice<bool>(command, "--box-order", options.by_score,
                        {{"random", false}, {"score", true}},
                        "Regions are numbered in random order (default) or by score")
      ->type_name("ORDER");
  command.add_flag("--detailed", options.detailed,
                   "Captions: ask in detail, as the original does for RefCOCOg");
  command.add_flag("--constrain", options.constrain,
                   "Only regions that exist can be named (the original does not)");
  cli::add_region_options(command, options.regions);
}

void add_work_options(CLI::App& command, RunArgs& args) {
  eval::RunOptions& options = args.options;
  command.add_option("--limit", options.limit, "Ask the first N samples alone")
      ->type_name("N")
      ->check(cli::refuse_negative);
  command
      .add_option("--shard", args.shard, "Take part i of n; groma eval score puts them together")
      ->type_name("i/n");
  command.add_option("--batch", options.batch, "Answers generated together (default 1)")
      ->check(CLI::Range(1, 256).description(""))
      ->type_name("N");
  command.add_option("--loaders", options.loaders, "Threads that read pictures ahead (default 2)")
      ->check(CLI::Range(1, 256).description(""))
      ->type_name("N");
  command.add_flag("--resume", options.resume, "Go on with the run in the folder");
  command.add_flag("--skip-missing", options.skip_missing,
                   "Count samples without picture as wrong instead of stopping");
  command
      .add_option("--report", options.report_errors,
                  "Write report.html with the worst N errors drawn")
      ->type_name("N");
  command.add_flag("--json", args.json, "Print JSON");
}

}  // namespace

void add_eval_run_command(CLI::App& app) {
  auto& command = *app.add_subcommand("run", "Ask a model a whole benchmark");
  const auto args = std::make_shared<RunArgs>();
  command
      .add_option_function<std::string>(
          "--protocol",
          [args](const std::string& name) {
            args->options.protocol = cli::as_usage([&] { return eval::protocol_named(name); });
          },
          "rec, lvis-ground, caption, proposals or grounded-chat")
      ->type_name("P")
      ->required();
  cli::add_model_options(command, args->model);
  cli::add_annotation_options(command, args->options.annotations);
  command.get_option("--annotations")->required();
  command
      .add_option("--images", args->options.images,
                  "Where the pictures are (default: beside the annotations)")
      ->type_name("DIR");
  command.add_option("-o,--out", args->options.out, "Run folder")->type_name("DIR")->required();
  add_asking_options(command, *args);
  cli::add_rule_options(command, args->rule, args->as_many_cut);
  add_work_options(command, *args);
  command.callback([args] { run(*args); });
}

}  // namespace groma
