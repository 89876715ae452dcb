#include "train/instruct.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "commands.h"

namespace groma {
namespace {

void add_prepare(CLI::App& instruct) {
  auto& command = *instruct.add_subcommand(
      "prepare", "Number the boxes of pictures and write requests for a vision-language service");
  const auto options = std::make_shared<train::InstructOptions>();
  command
      .add_option("--data", options->data.path,
                  "Annotation file of any kind that groma train takes")
      ->type_name("FILE")
      ->required();
  command.add_option("--images", options->data.images, "Folder of the pictures; else beside FILE")
      ->type_name("DIR");
  command.add_option("--out", options->folder, "Folder to write, new or empty")
      ->type_name("DIR")
      ->required();
  command.add_option("--service-model", options->service_model, "Name that the service knows")
      ->type_name("NAME")
      ->required();
  command.add_option("--max-regions", options->most_regions, "Numbered a picture (default 20)")
      ->type_name("N");
  command
      .add_option("--size", options->longest_side,
                  "Longest side of the marked pictures, pixels (default 1024)")
      ->type_name("PX");
  command.add_flag("--skip-wrong", options->skip_wrong, "Leave wrong entries out");
  command.callback([options] {
    options->on_note = [](const std::string& note) { std::cerr << note << '\n'; };
    const auto count = train::prepare_instruct(*options);
    std::cerr << "wrote " << count << " requests to " << options->folder << "/requests.jsonl\n";
  });
}

void add_read(CLI::App& instruct) {
  struct ReadArgs {
    std::string folder, answers, out;
  };
  auto& command = *instruct.add_subcommand(
      "read", "Check the service's answers and turn them into conversations to train on");
  const auto args = std::make_shared<ReadArgs>();
  command.add_option("--requests", args->folder, "Folder that prepare wrote")
      ->type_name("DIR")
      ->required();
  command.add_option("--answers", args->answers, "The service's results, JSONL")
      ->type_name("FILE")
      ->required();
  command.add_option("--out", args->out, "Conversations, JSONL")->type_name("FILE")->required();
  command.callback([args] {
    const auto result =
        train::read_instruct(args->folder, args->answers, args->out,
                             [](const std::string& refusal) { std::cerr << refusal << '\n'; });
    std::cerr << "wrote " << args->out << ": " << result.kept << " of " << result.answers
              << " answers, " << result.missing << " requests without one\n";
  });
}

}  // namespace

void add_instruct_command(CLI::App& app) {
  auto& command = *app.add_subcommand(
      "instruct", "Conversations about your own pictures, by way of a vision-language service");
  command.require_subcommand(1);
  add_prepare(command);
  add_read(command);
}

}  // namespace groma
