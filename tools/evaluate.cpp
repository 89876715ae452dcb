#include "groma/evaluate.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>

#include "args.h"
#include "commands.h"
#include "eval/ptb_tokenizer.h"
#include "evaluate_args.h"
#include "io/file.h"

namespace groma {
namespace cli {

void add_annotation_options(CLI::App& command, eval::AnnotationFile& file) {
  command.add_option("--annotations", file.path, "Annotation file of any kind")->type_name("FILE");
  command
      .add_option_function<std::string>(
          "--format",
          [&file](const std::string& name) {
            file.format = as_usage([&] { return eval::format_named(name); });
          },
          "groma, mdetr, minigpt, refer, coco, lvis, captions, vg, jsonl, conversations or sa1b; "
          "default: by content")
      ->type_name("KIND");
  command.add_option("--instances", file.instances, "instances.json that refs(...).p belongs to")
      ->type_name("FILE");
  command.add_option("--split", file.split, "Split of a refs(...).p, as val or testA")
      ->type_name("NAME");
  command.add_flag("--allow-google", file.allow_google, "Accept refs(google).p");
}

void add_rule_options(CLI::App& command, std::optional<eval::RecRule>& rule,
                      std::optional<bool>& as_many_cut) {
  add_choice<std::optional<eval::RecRule>>(command, "--rule", rule,
                                           {{"groma", eval::RecRule::kGroma},
                                            {"mdetr", eval::RecRule::kMdetr},
                                            {"ferret", eval::RecRule::kFerret}},
                                           "When a box is right: groma (default), mdetr or ferret")
      ->type_name("RULE");
  add_choice<std::optional<bool>>(command, "--as-many", as_many_cut,
                                  {{"cut", true}, {"all", false}},
                                  "Boxes that count: the first k (cut, default) or all")
      ->type_name("HOW");
}

void print_warnings(const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) std::cerr << "groma eval: note: " << warning << '\n';
}

}  // namespace cli

namespace {

using cli::add_annotation_options;
using cli::print_warnings;

constexpr std::size_t kMaxCaptionBytes = 1'000'000'000;

/// For options that some ways of calling need and others do not have.
void require_option(const std::string& value, const char* name) {
  if (value.empty()) throw CLI::RequiredError(name);
}

struct ScoreArgs {
  std::vector<std::string> runs;
  std::string metric, detections, arrays, protocol;
  eval::CaptionFiles captions;
  eval::AnnotationFile annotations;
  eval::BoxMetricOptions boxes;
  eval::RunScoreOptions run;
  bool one_class = false;
  bool json = false;
};

void print(const eval::ScoreReport& report, bool json) {
  print_warnings(report.warnings);
  std::cout << (json ? report.json() : report.table());
}

eval::ScoreReport score_files(ScoreArgs& args) {
  if (args.metric == "caption") {
    args.captions.java = args.run.java;
    require_option(args.captions.references, "--references");
    require_option(args.captions.hypotheses, "--hypotheses");
    return eval::score_caption_files(args.captions);
  }
  require_option(args.annotations.path, "--annotations");
  require_option(args.detections, "--detections");
  args.boxes.use_categories = !args.one_class;
  args.boxes.strict_reference = args.run.strict_reference;
  const auto metric = args.metric == "lvis" ? eval::BoxMetric::kLvis : eval::BoxMetric::kCoco;
  return eval::score_box_files(metric, args.annotations, args.detections, args.boxes, args.arrays);
}

/// Several benchmarks at once: each with its name, then the mean of what counts.
void score_groups(const std::vector<std::vector<std::string>>& groups, const ScoreArgs& args) {
  double sum = 0;
  std::size_t count = 0;
  std::cout << (args.json ? "[\n" : "");
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const auto report = eval::score_runs(groups[i], args.run);
    if (!args.json) std::cout << (i ? "\n" : "") << groups[i][0] << '\n';
    print(report, args.json);
    if (args.json && i + 1 < groups.size()) std::cout << ",\n";
    for (const auto& figure : report.figures) {
      if (figure.name != "accuracy") continue;
      sum += figure.value;
      ++count;
    }
  }
  if (args.json) std::cout << "]\n";
  if (!args.json && count == groups.size()) {
    std::cout << "\nmean accuracy of " << count << ": " << sum / static_cast<double>(count) << '\n';
  }
}

void score(ScoreArgs& args) {
  if (!args.metric.empty()) return print(score_files(args), args.json);
  require_option(args.runs.empty() ? "" : args.runs[0], "RUN or --metric");
  if (!args.annotations.path.empty()) args.run.annotations = args.annotations;
  if (!args.protocol.empty()) {
    args.run.protocol = cli::as_usage([&] { return eval::protocol_named(args.protocol); });
  }
  const auto groups = eval::group_runs(args.runs);
  if (groups.size() == 1) return print(eval::score_runs(groups[0], args.run), args.json);
  if (!args.run.out.empty() || args.run.annotations) {
    throw CLI::ValidationError(
        "--out, --annotations",
        "the folders are " + std::to_string(groups.size()) + " different runs; score them apart");
  }
  score_groups(groups, args);
}

void add_score_command(CLI::App& app) {
  auto& command = *app.add_subcommand("score", "Turn predictions into numbers");
  const auto args = std::make_shared<ScoreArgs>();
  command.add_option("RUN", args->runs, "Folders that groma eval run wrote: shards, seeds");
  command.add_option("-o,--out", args->run.out, "Folder for metrics.json and the merged files")
      ->type_name("DIR");
  cli::add_rule_options(command, args->run.rule, args->run.as_many_cut);
  command.add_option("--protocol", args->protocol, "For folders without run.json");
  command
      .add_option("--report", args->run.report_errors,
                  "Write report.html with the worst N errors drawn")
      ->type_name("N");
  command.add_option("--images", args->run.images, "Where the report finds pictures")
      ->type_name("DIR");
  command.add_option("--metric", args->metric, "Score files instead: coco, lvis or caption")
      ->check(CLI::IsMember({"coco", "lvis", "caption"}));
  add_annotation_options(command, args->annotations);
  command.add_option("--detections", args->detections, "Results list")->type_name("FILE");
  command.add_option("--arrays", args->arrays, "Write whole precision and recall arrays here")
      ->type_name("FILE");
  command.add_flag("--strict-reference", args->run.strict_reference,
                   "Never count a truth of id 0 as found, as the reference tools do");
  command.add_flag("--one-class", args->one_class, "Ignore categories (coco)");
  command.add_option("--references", args->captions.references, "Captions to compare with")
      ->type_name("FILE");
  command.add_option("--hypotheses", args->captions.hypotheses, "Captions to score")
      ->type_name("FILE");
  command.add_flag("--tokenized", args->captions.tokenized,
                   "Captions are words between single spaces, compared as they are");
  command
      .add_option("--ptb-jar", args->run.java.tokenizer,
                  "stanford-corenlp-3.4.1.jar, to tokenise with it")
      ->type_name("FILE");
  command.add_option("--meteor-jar", args->run.java.meteor, "meteor-1.5.jar")->type_name("FILE");
  command.add_flag("--json", args->json, "Print JSON");
  command.callback([args] { score(*args); });
}

struct ConvertArgs {
  eval::AnnotationFile from;
  std::string to, out, instances;
};

void convert(const ConvertArgs& args) {
  const auto to = cli::as_usage([&] { return eval::format_named(args.to); });
  const auto done = eval::convert_annotations(args.from, to, args.out, args.instances);
  print_warnings(done.warnings);
  std::cerr << "groma eval convert: " << name_of(done.from) << " to " << args.to << ": "
            << done.entries << " entries, " << done.boxes << " boxes\n";
}

void add_convert_command(CLI::App& app) {
  auto& command = *app.add_subcommand("convert", "Write annotations in another form");
  const auto args = std::make_shared<ConvertArgs>();
  add_annotation_options(command, args->from);
  command.get_option("--annotations")->required();
  command.add_option("--to", args->to, "Form to write: jsonl, groma, mdetr, minigpt, refer, ...")
      ->required();
  command.add_option("-o,--out", args->out, "File to write")->type_name("FILE")->required();
  command.add_option("--instances-out", args->instances, "Where the boxes of --to refer go")
      ->type_name("FILE");
  command.callback([args] { convert(*args); });
}

/// For comparing tokenizers: a caption a line in, its words a line out.
void add_tokenize_command(CLI::App& app) {
  auto& command = *app.add_subcommand("tokenize", "Split captions as they are split for scoring");
  const auto file = std::make_shared<std::string>();
  command.add_option("FILE", *file, "Captions, one a line")->required();
  command.callback([file] {
    std::istringstream in(io::read_text_file(*file, kMaxCaptionBytes));
    for (std::string line; std::getline(in, line);) std::cout << eval::caption_words(line) << '\n';
  });
}

}  // namespace

void add_eval_command(CLI::App& app) {
  auto& command = *app.add_subcommand("eval", "Predict on a benchmark, score, convert annotations");
  command.require_subcommand(1);
  add_eval_run_command(command);
  add_score_command(command);
  add_convert_command(command);
  add_tokenize_command(command);
}

}  // namespace groma
