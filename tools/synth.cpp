#include <CLI/CLI.hpp>
#include <cstdint>
#include <iostream>
#include <memory>
#include <string>

#include "args.h"
#include "commands.h"
#include "interrupt.h"
#include "terminal.h"
#include "train/worlds/write_set.h"

namespace groma {
namespace {

using train::SetOptions;

void write(const SetOptions& options) {
  std::string statistics;
  {
    const cli::StoppableAnswer stoppable;  // a Ctrl-C must not leave half a set behind
    cli::ProgressBar bar("drawing scenes");
    statistics = train::write_set(options, [&](double done) {
      if (cli::interrupts() > 0) throw cli::Interrupted{};
      bar.show(done);
    });
  }
  std::cout << statistics << std::flush;
  std::cerr << "wrote " << options.folder << '\n';
}

}  // namespace

void add_synth_command(CLI::App& app) {
  auto& command =
      *app.add_subcommand("synth", "Draw scenes with exact truth, to train and measure");
  const auto options = std::make_shared<SetOptions>();
  command.add_option("--out", options->folder, "Folder to write, new or empty")
      ->type_name("DIR")
      ->required();
  command.add_option("--scenes", options->scenes, "How many")
      ->check(CLI::Range(1, 10'000'000).description(""))
      ->type_name("N")
      ->required();
  cli::add_seed_option(command, options->seed, "Other seeds give other scenes");
  cli::add_world_option(command, options->world.world, "shapes (as without it), things or both");
  command.add_option("--size", options->world.size, "Side of the pictures, 64 to 1024 pixels")
      ->check(CLI::Range(64, 1024).description(""))
      ->type_name("PX")
      ->capture_default_str();
  command.add_flag("--test", options->world.test,
                   "Scenes to measure with: none is ever drawn for training");
  command.add_option("--max-objects", options->world.max_objects, "In a scene, 2 to 12")
      ->check(CLI::Range(2, 12).description(""))
      ->type_name("N")
      ->capture_default_str();
  command.add_option("--font", options->world.font, "Colour font of things (default: search)")
      ->type_name("FILE");
  command.add_option("-t,--threads", options->threads, "Scenes drawn at a time; 0: all cores")
      ->check(CLI::Range(0, 1024).description(""))
      ->type_name("N")
      ->capture_default_str();
  command.callback([options] { write(*options); });
}

}  // namespace groma
