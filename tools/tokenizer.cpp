#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "args.h"
#include "commands.h"
#include "train/start_folder.h"

namespace groma {

void add_tokenizer_command(CLI::App& app) {
  auto& command =
      *app.add_subcommand("tokenizer", "Make the folder that training from nothing starts with");
  const auto options = std::make_shared<train::StartOptions>();
  command.add_option("--config", options->config, "config.json of the model; sets the vocabulary")
      ->type_name("FILE")
      ->required();
  command.add_option("--out", options->folder, "Folder to write, new or empty")
      ->type_name("DIR")
      ->required();
  command.add_option("--text", options->texts, "Files to learn pieces from, a sentence a line")
      ->type_name("FILE");
  cli::add_choice<std::string>(command, "--world", options->world,
                               {{"shapes", "shapes"}, {"things", "things"}, {"both", "both"}},
                               "Learn from this world's sentences: shapes, things, both")
      ->type_name("W");
  command.add_option("--scenes", options->scenes, "How many scenes of the world")
      ->check(CLI::Range(1, 10'000'000).description(""))
      ->type_name("N")
      ->capture_default_str();
  command.callback([options] {
    if (options->texts.empty() && options->world.empty()) {
      throw CLI::RequiredError("--text or --world");
    }
    train::write_start_folder(*options);
    std::cerr << "wrote " << options->folder << '\n';
  });
}

}  // namespace groma
