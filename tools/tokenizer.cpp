#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

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
  command
      .add_option("--world", options->world,
                  "Learn from this world's sentences: shapes, things, both")
      ->type_name("W");
  command.add_option("--scenes", options->scenes, "How many scenes of the world (default 500)")
      ->type_name("N");
  command.callback([options] {
    train::write_start_folder(*options);
    std::cerr << "wrote " << options->folder << '\n';
  });
}

}  // namespace groma
