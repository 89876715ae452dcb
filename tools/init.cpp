#include "init.h"

#include <CLI/CLI.hpp>
#include <cstdint>
#include <iostream>
#include <memory>
#include <string>

#include "args.h"
#include "commands.h"

namespace groma {

void add_init_command(CLI::App& app) {
  struct InitArgs {
    std::string config;
    std::string directory;
    std::string dtype = "float32";
    std::uint64_t seed = 0;
  };
  auto& command = *app.add_subcommand("init", "Write a checkpoint of random weights");
  const auto args = std::make_shared<InitArgs>();
  command.add_option("--config", args->config, "config.json of the model")
      ->type_name("FILE")
      ->required();
  command.add_option("--out", args->directory, "Folder to write, new or empty")
      ->type_name("DIR")
      ->required();
  cli::add_choice<std::string>(command, "--dtype", args->dtype,
                               {{"fp32", "float32"}, {"bf16", "bfloat16"}, {"fp16", "float16"}},
                               "Of the weights: fp32 (as without it), bf16 or fp16")
      ->type_name("T");
  cli::add_seed_option(command, args->seed, "Of the weights");
  command.callback([args] {
    init_checkpoint(args->config, args->directory, args->dtype, args->seed);
    std::cerr << "wrote " << args->directory << '\n';
  });
}

}  // namespace groma
