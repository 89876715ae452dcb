#include "groma/evaluate.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <string>

#include "commands.h"

namespace groma {
namespace {

void add_annotation_options(CLI::App& command, eval::AnnotationFile& file) {
  command.add_option("--annotations", file.path, "Annotation file of any kind")->type_name("FILE");
  command
      .add_option_function<std::string>(
          "--format", [&file](const std::string& name) { file.format = eval::format_named(name); },
          "groma, mdetr, minigpt, refer, coco, lvis, captions, vg or jsonl; default: by content")
      ->type_name("KIND");
  command.add_option("--instances", file.instances, "instances.json that refs(...).p belongs to")
      ->type_name("FILE");
  command.add_option("--split", file.split, "Split of a refs(...).p, as val or testA")
      ->type_name("NAME");
  command.add_flag("--allow-google", file.allow_google, "Accept refs(google).p");
}

void print_warnings(const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) std::cerr << "groma eval: note: " << warning << '\n';
}

struct ScoreArgs {
  std::vector<std::string> runs;
  std::string metric, detections, arrays;
  eval::AnnotationFile annotations;
  eval::BoxMetricOptions boxes;
  bool one_class = false;
  bool json = false;
};

void score(ScoreArgs& args) {
  args.boxes.use_categories = !args.one_class;
  const auto metric = args.metric == "lvis" ? eval::BoxMetric::kLvis : eval::BoxMetric::kCoco;
  const auto report =
      eval::score_box_files(metric, args.annotations, args.detections, args.boxes, args.arrays);
  print_warnings(report.warnings);
  std::cout << (args.json ? report.json() : report.table());
}

void add_score_command(CLI::App& app) {
  auto& command = *app.add_subcommand("score", "Turn predictions into numbers");
  const auto args = std::make_shared<ScoreArgs>();
  command.add_option("--metric", args->metric, "coco or lvis")
      ->check(CLI::IsMember({"coco", "lvis"}));
  add_annotation_options(command, args->annotations);
  command.add_option("--detections", args->detections, "Results list")->type_name("FILE");
  command.add_option("--arrays", args->arrays, "Write whole precision and recall arrays here")
      ->type_name("FILE");
  command.add_flag("--strict-reference", args->boxes.strict_reference,
                   "Never count a truth of id 0 as found, as the reference tools do");
  command.add_flag("--one-class", args->one_class, "Ignore categories (coco)");
  command.add_flag("--json", args->json, "Print JSON");
  command.callback([args] { score(*args); });
}

}  // namespace

void add_eval_command(CLI::App& app) {
  auto& command = *app.add_subcommand("eval", "Predict on a benchmark, score, convert annotations");
  command.require_subcommand(1);
  add_score_command(command);
}

}  // namespace groma
