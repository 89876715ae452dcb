#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "answer.h"
#include "answer/answer_json.h"
#include "args.h"
#include "commands.h"
#include "groma/confidence.h"

namespace groma {
namespace {

struct RankArgs {
  cli::ModelArgs model;
  RegionOptions regions;
  std::string image;
  std::string expression;
  std::string picture;
  float min_score = 0;
  int top = 5;
  bool json = false;
};

/// A ranked region with the confidence that it is what was asked for.
struct Candidate {
  RankedRegion ranked;
  float confidence = 0;
};

void print(const std::vector<Candidate>& found, const Ranking& ranking, bool json) {
  if (json) {
    auto list = nlohmann::ordered_json::array();
    for (const auto& [one, confidence] : found) {
      list.push_back({{"region", one.region},
                      {"box", to_json(one.box)},
                      {"score", decimal(one.score)},
                      {"probability", decimal(one.probability)},
                      {"confidence", decimal(confidence)}});
    }
    std::cout << one_line({{"present", decimal(ranking.present)}, {"regions", std::move(list)}})
              << '\n';
    return;
  }
  if (found.empty()) std::cout << "not there\n";
  for (const auto& [one, confidence] : found) {
    char line[200];
    std::snprintf(line, sizeof(line),
                  "r%-3d %.1f,%.1f,%.1f,%.1f  confidence %.3f  p %.3f  score %.2f\n", one.region,
                  one.box.x1, one.box.y1, one.box.x2, one.box.y2, confidence, one.probability,
                  one.score);
    std::cout << line;
  }
}

void rank(const RankArgs& args) {
  const auto image = cli::open_image(args.image);
  const auto groma = cli::load_model(args.model);
  const auto calibration = Calibration::read(args.model.directory);
  auto session = groma.start(image, args.regions);
  const auto ranking = session.rank(args.expression);
  std::vector<Candidate> found;
  auto drawn = cli::about(args.image, image, args.expression);
  drawn.answer.regions = session.regions();
  for (const auto& one : ranking.regions) {
    // The model must begin to name a region, and then this one.
    const auto confidence = calibration.confidence(one.score, ranking.present * one.probability);
    if (static_cast<int>(found.size()) == args.top || confidence < args.min_score) continue;
    found.push_back({one, confidence});
    drawn.answer.phrases.push_back(
        {"", 0, 0, {{one.region, one.box, one.score, std::log(one.probability)}}});
  }
  print(found, ranking, args.json);
  if (!args.picture.empty()) save_answer(args.picture, image, drawn);
}

}  // namespace

void add_rank_command(CLI::App& app) {
  auto& command = *app.add_subcommand("rank", "Rank all regions of a picture by an expression");
  const auto args = std::make_shared<RankArgs>();
  cli::add_model_options(command, args->model);
  command.add_option("--image", args->image, "Picture; -: standard input")
      ->type_name("FILE")
      ->required();
  command.add_option("-p,--prompt", args->expression, "What to look for: \"the red cup\"")
      ->required();
  command.add_option("--top", args->top, "How many to list")
      ->check(CLI::Range(1, 100).description(""))
      ->type_name("N")
      ->capture_default_str();
  command
      .add_option("--min-score", args->min_score,
                  "Leave out what has less confidence, 0 to 1; \"not there\" when nothing is left")
      ->check(CLI::Range(0.0, 1.0).description(""))
      ->type_name("C");
  cli::add_region_options(command, args->regions);
  command.add_flag("--json", args->json, "Print a line of JSON");
  cli::add_picture_option(command, args->picture, "Draw them: .png, .jpg, .webp, .svg or .html");
  command.callback([args] { rank(*args); });
}

}  // namespace groma
