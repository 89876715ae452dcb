#include <CLI/CLI.hpp>
#include <cstdint>
#include <iostream>
#include <map>
#include <memory>
#include <string>

#include "commands.h"
#include "interrupt.h"
#include "terminal.h"
#include "train/worlds/write_set.h"

namespace groma {
namespace {

using train::SetOptions;
using train::World;

const std::map<std::string, World> kWorlds = {
    {"shapes", World::kShapes}, {"things", World::kThings}, {"both", World::kBoth}};

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
  command.add_option("--scenes", options->scenes, "How many")->type_name("N")->required();
  command.add_option("--seed", options->seed, "Other seeds give other scenes (default 0)")
      ->type_name("S");
  command.add_option("--world", options->world.world, "shapes (default), things or both")
      ->transform(CLI::CheckedTransformer(kWorlds).description(""))
      ->type_name("W");
  command.add_option("--size", options->world.size, "Side of the pictures, pixels (default 224)")
      ->type_name("PX");
  command.add_flag("--test", options->world.test,
                   "Scenes to measure with: none is ever drawn for training");
  command.add_option("--max-objects", options->world.max_objects, "In a scene (default 12)")
      ->type_name("N");
  command.add_option("--font", options->world.font, "Colour font of things (default: search)")
      ->type_name("FILE");
  command.add_option("--threads", options->threads, "Default: all")->type_name("N");
  command.callback([options] { write(*options); });
}

}  // namespace groma
