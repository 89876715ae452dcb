#include "groma/train.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <memory>

#include "commands.h"
#include "train/detection_stage.h"
#include "train/world_figures.h"

namespace groma {
namespace {

std::string clock_of(double seconds) {
  char text[32];
  const auto minutes = static_cast<long>(seconds / 60);
  std::snprintf(text, sizeof text, "%ld:%02ld h", minutes / 60, minutes % 60);
  return text;
}

/// One line: bar, step, loss, rate, time left, then the parts of the loss.
void print(const train::TrainProgress& progress) {
  constexpr int kBar = 20;
  const double done = static_cast<double>(progress.step) / static_cast<double>(progress.steps);
  std::string bar(kBar, '.');
  for (int i = 0; i < static_cast<int>(done * kBar); ++i) bar[i] = '#';
  std::cout << '[' << bar << "] " << progress.step << '/' << progress.steps << "  loss "
            << progress.loss << "  rate " << progress.rate << "  left "
            << clock_of(progress.seconds_left);
  for (const auto& [name, value] : progress.metrics) std::cout << "  " << name << ' ' << value;
  std::cout << std::endl;
  if (progress.validation.empty()) return;
  std::cout << "validation:";
  for (const auto& [name, value] : progress.validation) std::cout << "  " << name << ' ' << value;
  std::cout << std::endl;
}

}  // namespace

void add_measure_command(CLI::App& app) {
  auto* command = app.add_subcommand("measure", "Ask a checkpoint about held-out scenes and count");
  auto options = std::make_shared<train::FigureOptions>();
  auto model = std::make_shared<std::string>();
  auto world = std::make_shared<std::string>("shapes");
  command->add_option("--model", *model, "Checkpoint")->required();
  command->add_option("--world", *world, "shapes, things or both");
  command->add_option("--scenes", options->scenes, "How many scenes");
  command->add_option("--seed", options->seed, "Of the scenes");
  command->add_option("--threads", options->threads, "Scenes at a time");
  command->callback([=] {
    options->world = train::world_named(*world);
    for (const auto& [name, figure] : train::measure(*model, *options)) {
      std::printf("%-20s %.3f  %.1f / %.0f\n", name.c_str(), figure.value(), figure.hits,
                  figure.total);
    }
  });
}

void add_train_command(CLI::App& app) {
  auto* command = app.add_subcommand("train", "Train one of the paper's three stages");
  auto options = std::make_shared<train::TrainOptions>();
  command->add_option("--config", options->recipe, "Recipe, a file of models/stages")->required();
  command
      ->add_option("--model", options->model,
                   "Checkpoint to start from; without weights in it, from scratch")
      ->required();
  command->add_option("--from", options->from,
                      "state.safetensors of earlier runs; what they trained is taken over");
  command->add_option("--out", options->out, "Run folder: checkpoints, logs, the model")
      ->required();
  command->add_flag("--resume", options->resume, "Go on from the last checkpoint in --out");
  command->add_option("--threads", options->threads, "Worker threads; 0: all cores");
  command->add_option("--seed", options->seed, "Of data order and random choices");
  command->add_option("--steps", options->steps, "Overrides the recipe's number of steps");
  command->callback([options] {
    const auto result = train::train(*options, [](const train::TrainProgress& progress) {
      print(progress);
      return true;
    });
    std::cout << "wrote " << options->out << "/model after " << result.steps << " steps\n";
  });
}

}  // namespace groma
