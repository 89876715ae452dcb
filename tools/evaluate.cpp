#include "groma/evaluate.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>

#include "commands.h"
#include "eval/ptb_tokenizer.h"
#include "io/file.h"

namespace groma {
namespace {

constexpr std::size_t kMaxCaptionBytes = 1'000'000'000;

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
  eval::CaptionFiles captions;
  eval::AnnotationFile annotations;
  eval::BoxMetricOptions boxes;
  bool one_class = false;
  bool json = false;
};

void score(ScoreArgs& args) {
  if (args.metric == "caption") {
    const auto report = eval::score_caption_files(args.captions);
    print_warnings(report.warnings);
    std::cout << (args.json ? report.json() : report.table());
    return;
  }
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
  command.add_option("--metric", args->metric, "coco, lvis or caption")
      ->check(CLI::IsMember({"coco", "lvis", "caption"}));
  add_annotation_options(command, args->annotations);
  command.add_option("--detections", args->detections, "Results list")->type_name("FILE");
  command.add_option("--arrays", args->arrays, "Write whole precision and recall arrays here")
      ->type_name("FILE");
  command.add_flag("--strict-reference", args->boxes.strict_reference,
                   "Never count a truth of id 0 as found, as the reference tools do");
  command.add_flag("--one-class", args->one_class, "Ignore categories (coco)");
  command.add_option("--references", args->captions.references, "Captions to compare with")
      ->type_name("FILE");
  command.add_option("--hypotheses", args->captions.hypotheses, "Captions to score")
      ->type_name("FILE");
  command.add_flag("--tokenized", args->captions.tokenized,
                   "Captions are words between single spaces, compared as they are");
  command
      .add_option("--ptb-jar", args->captions.java.tokenizer,
                  "stanford-corenlp-3.4.1.jar, to tokenise with it")
      ->type_name("FILE");
  command.add_option("--meteor-jar", args->captions.java.meteor, "meteor-1.5.jar")
      ->type_name("FILE");
  command.add_flag("--json", args->json, "Print JSON");
  command.callback([args] { score(*args); });
}

struct ConvertArgs {
  eval::AnnotationFile from;
  std::string to, out, instances;
};

void convert(const ConvertArgs& args) {
  const auto done =
      eval::convert_annotations(args.from, eval::format_named(args.to), args.out, args.instances);
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
  add_score_command(command);
  add_convert_command(command);
  add_tokenize_command(command);
}

}  // namespace groma
