#include "groma/train.h"

#include <malloc.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string_view>

#include "args.h"
#include "commands.h"
#include "interrupt.h"
#include "ranks.h"
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

/// More than the program asks of the allocator anyway, for training alone: a step frees and takes
/// the same blocks as the one before, and page faults of freshly mapped memory cost a fifth of it.
void keep_all_freed_memory() {
#ifdef __GLIBC__
  constexpr int kMegabyte = 1 << 20;
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, 512 * kMegabyte);
  mallopt(M_TOP_PAD, 64 * kMegabyte);
#endif
}

/// What --data, --images, --share and the like say together.
struct DataArgs {
  std::vector<std::string> files, images, formats, validation;
  std::vector<double> shares;
};

void add_data_options(CLI::App& command, DataArgs& args) {
  command
      .add_option(
          "--data", args.files,
          "Annotation files of pictures: COCO, RefCOCO, Visual Genome, Open Images, SA-1B's "
          "folder, LLaVA, Groma-Instruct, JSONL; or world:shapes, world:things. Without it the "
          "recipe decides")
      ->type_name("FILE");
  command
      .add_option("--images", args.images,
                  "Folder of the pictures, one for all or one a file; else beside each file")
      ->type_name("DIR");
  command
      .add_option("--format", args.formats,
                  "Kind of the files, one for all or one a file; else told from each")
      ->type_name("F");
  command
      .add_option("--share", args.shares,
                  "How often each file's pictures come, relative; else by their number")
      ->check(CLI::Range(1e-6, 1e6).description(""))
      ->type_name("X")
      ->needs("--data");
  command.add_option("--validation", args.validation, "Annotation files to validate with")
      ->type_name("FILE");
}

/// Item `i` of a list that has one item for all, one for each, or none.
template <typename T>
T item_for(const std::vector<T>& items, size_t i, size_t count, const char* option) {
  if (items.empty()) return {};
  if (items.size() != 1 && items.size() != count) {
    throw CLI::ValidationError(std::string(option) + ": " + std::to_string(items.size()) +
                               " values for " + std::to_string(count) + " files of --data");
  }
  return items[items.size() == 1 ? 0 : i];
}

/// Refuses what is said about files where none are given.
void check_data_options(const DataArgs& args) {
  if (!args.files.empty() || !args.validation.empty()) return;
  for (const auto& [option, given] : {std::pair{"--images", !args.images.empty()},
                                      std::pair{"--format", !args.formats.empty()}}) {
    if (given) {
      throw CLI::ValidationError(
          std::string(option) + " is about files, but there are none; give --data or --validation");
    }
  }
}

std::vector<train::DataSource> sources_of(const std::vector<std::string>& files,
                                          const DataArgs& args, bool shared) {
  std::vector<train::DataSource> sources;
  for (size_t i = 0; i < files.size(); ++i) {
    train::DataSource source;
    constexpr std::string_view kWorld = "world:";
    if (files[i].starts_with(kWorld)) {
      source.world = files[i].substr(kWorld.size());
    } else {
      source.path = files[i];
      source.images = item_for(args.images, i, files.size(), "--images");
      const auto format = item_for(args.formats, i, files.size(), "--format");
      if (!format.empty()) source.format = format;
    }
    if (shared) source.share = item_for(args.shares, i, files.size(), "--share");
    sources.push_back(std::move(source));
  }
  return sources;
}

}  // namespace

void add_measure_command(CLI::App& app) {
  auto* command = app.add_subcommand("measure", "Ask a checkpoint about held-out scenes and count");
  auto options = std::make_shared<train::FigureOptions>();
  auto model = std::make_shared<std::string>();
  command->add_option("-m,--model", *model, "Folder of the checkpoint")
      ->type_name("DIR")
      ->required();
  cli::add_world_option(*command, options->world, "shapes (as without it), things or both");
  command->add_option("--scenes", options->scenes, "How many scenes")
      ->check(CLI::Range(1, 10'000'000).description(""))
      ->type_name("N")
      ->capture_default_str();
  cli::add_seed_option(*command, options->seed, "Of the scenes");
  command->add_option("-t,--threads", options->threads, "Scenes at a time")
      ->check(CLI::Range(1, 1024).description(""))
      ->type_name("N")
      ->capture_default_str();
  cli::add_dtype_option(*command, options->dtype);
  command->callback([=] {
    for (const auto& [name, figure] : train::measure(*model, *options)) {
      std::printf("%-20s %.3f  %.1f / %.0f\n", name.c_str(), figure.value(), figure.hits,
                  figure.total);
    }
  });
}

void add_train_command(CLI::App& app) {
  auto* command = app.add_subcommand("train", "Train one of the paper's three stages");
  auto options = std::make_shared<train::TrainOptions>();
  command->add_option("--config", options->recipe, "Recipe, a file of models/stages")
      ->type_name("FILE")
      ->required();
  command
      ->add_option("-m,--model", options->model,
                   "Checkpoint to start from; without weights in it, from scratch")
      ->type_name("DIR")
      ->required();
  cli::add_choice<std::string>(
      *command, "--stage", options->stage,
      {{"detection", "detection"}, {"alignment", "alignment"}, {"instruction", "instruction"}},
      "Refuse a recipe of another stage: detection, alignment or instruction")
      ->type_name("STAGE");
  command
      ->add_option("--from", options->from,
                   "state.safetensors of earlier runs; what they trained is taken over")
      ->type_name("FILE");
  command->add_option("--out", options->out, "Run folder: checkpoints, logs, the model")
      ->type_name("DIR")
      ->required();
  command->add_flag("--resume", options->resume, "Go on from the last checkpoint in --out");
  cli::add_device_option(*command, options->device);
  command
      ->add_option("-t,--threads", options->threads,
                   "Workers that share a batch; 0: all cores, on cuda one")
      ->check(CLI::Range(0, 4096).description(""))
      ->type_name("N")
      ->capture_default_str();
  cli::add_seed_option(*command, options->seed, "Of data order and random choices");
  command->add_option("--steps", options->steps, "Overrides the recipe's number of steps")
      ->check(CLI::Range(1, 1'000'000'000).description(""))
      ->type_name("N");
  command
      ->add_option("--freeze", options->freeze,
                   "Prefixes of parameters that stay as they are, as llm. for the language model")
      ->type_name("PREFIX");
  const auto data = std::make_shared<DataArgs>();
  add_data_options(*command, *data);
  command->add_flag("--skip-wrong", options->skip_wrong,
                    "Leave wrong entries of the data out instead of refusing them");
  command->callback([options, data] {
    if (options->device == Device::kCuda) cli::choose_gpu();
    check_data_options(*data);
    options->data = sources_of(data->files, *data, true);
    options->validation = sources_of(data->validation, *data, false);
    options->on_note = [](const std::string& note) { std::cerr << note << std::endl; };
    options->stop = [](std::int64_t) { return cli::interrupts() > 0; };
    keep_all_freed_memory();
    const cli::StoppableAnswer stoppable;  // the first Ctrl-C saves, a second one ends at once
    const auto result = train::train(*options, print);
    if (result.stopped) {
      std::cout << "stopped after step " << result.steps << "; go on with --resume" << std::endl;
      throw cli::Interrupted{};
    }
    std::cout << "wrote " << options->out << "/model after " << result.steps << " steps\n";
  });
}

}  // namespace groma
