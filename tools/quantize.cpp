#include "quantize.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <string>

#include "args.h"
#include "commands.h"
#include "terminal.h"

namespace groma {

void add_quantize_command(CLI::App& app) {
  struct QuantizeArgs {
    std::string model, directory;
    ops::WeightType type = ops::WeightType::kInt4;
    ops::Rounding rounding = ops::Rounding::kSearched;
  };
  auto& command = *app.add_subcommand("quantize", "Write a checkpoint with smaller weights");
  const auto args = std::make_shared<QuantizeArgs>();
  command.add_option("-m,--model", args->model, "Folder of the checkpoint")
      ->type_name("DIR")
      ->required();
  command.add_option("--out", args->directory, "Folder to write, new or empty")
      ->type_name("DIR")
      ->required();
  cli::add_choice<ops::WeightType>(
      command, "--type", args->type,
      {{"int8", ops::WeightType::kInt8}, {"int4", ops::WeightType::kInt4}},
      "Of the language model's weights: int8 or int4 (as without it)")
      ->type_name("T");
  cli::add_choice<ops::Rounding>(
      command, "--rounding", args->rounding,
      {{"searched", ops::Rounding::kSearched}, {"nearest", ops::Rounding::kNearest}},
      "How int4 finds its scales: searched (as without it) or nearest")
      ->type_name("R");
  command.callback([args] {
    cli::ProgressBar bar("quantizing " + args->model);
    quantize_checkpoint(args->model, args->type, args->rounding, args->directory,
                        [&](double done) { bar.show(done); });
    std::cerr << "wrote " << args->directory << '\n';
  });
}

}  // namespace groma
