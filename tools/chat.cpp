#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "answer.h"
#include "args.h"
#include "commands.h"
#include "conversation.h"
#include "image/draw.h"
#include "interrupt.h"

namespace groma {
namespace {

struct ChatArgs {
  cli::ModelArgs model;
  RegionOptions regions;
  cli::AnswerArgs answer;
  std::string image;
  std::string prompt;
  std::vector<Box> boxes;
  std::string picture;
  bool no_constrain = false;
};

void add_generation_options(CLI::App& command, ChatArgs& args) {
  auto& options = args.answer.options;
  command.add_option("-n", options.max_new_tokens, "Most new tokens")
      ->check(CLI::Range(1, 1 << 20).description(""))
      ->type_name("N")
      ->capture_default_str();
  command.add_option("--temp", options.temperature, "Sampling temperature; 0: greedy")
      ->check(CLI::Range(0.0, 100.0).description(""))
      ->type_name("T");
  command
      .add_option("--top-p", options.top_p, "Sample from the likeliest tokens holding this much")
      ->check(CLI::Range(0.0, 1.0).description(""))
      ->type_name("P");
  command.add_option("--top-k", options.top_k, "Sample from this many tokens; 0: all")
      ->check(CLI::Range(0, 1 << 20).description(""))
      ->type_name("K");
  command.add_option("--seed", options.seed, "Seed of sampling")->type_name("S");
  command.add_flag("--grounded", options.grounded, "Ask for phrases with their regions");
  command.add_flag("--no-constrain", args.no_constrain,
                   "Let the model name regions that do not exist, as the original does");
}

void add_box_option(CLI::App& command, std::vector<Box>& boxes) {
  const auto add = [&boxes](const std::vector<std::string>& given) {
    for (const auto& text : given) {
      const auto box = cli::parse_box(text);
      if (!box) throw CLI::ValidationError("'" + text + "' is not x1,y1,x2,y2, four pixel numbers");
      boxes.push_back(*box);
    }
  };
  command
      .add_option_function<std::vector<std::string>>(
          "--box", add, "A box in pixels; repeat for more. <box> in the prompt is the next box")
      ->type_name("x1,y1,x2,y2")
      ->expected(1)
      ->take_all();
}

void check_usage(const ChatArgs& args, bool one_question) {
  if (one_question) {
    if (args.image.empty()) throw CLI::RequiredError("--image");
    if (args.prompt == "-" && args.image == "-") {
      throw CLI::ValidationError("--prompt and --image cannot both read standard input");
    }
    return;
  }
  if (args.image == "-") {
    throw CLI::ValidationError("--image - needs --prompt: the questions come from standard input");
  }
  if (!args.picture.empty()) throw CLI::ValidationError("--output needs --prompt; here use /save");
  if (!args.boxes.empty()) throw CLI::ValidationError("--box needs --prompt; here use /box");
}

void answer_one(const ChatArgs& args) {
  auto prompt = args.prompt == "-" ? cli::read_stdin() : args.prompt;
  while (!prompt.empty() && (prompt.back() == '\n' || prompt.back() == '\r')) prompt.pop_back();
  const auto image = cli::open_image(args.image);  // before the model: it fails sooner
  const auto groma = cli::load_model(args.model);
  auto session = groma.start(image, args.regions);
  const auto answer = cli::ask(session, image, prompt, args.boxes, args.answer);
  if (answer.finish == Finish::kCancelled) throw cli::Interrupted();
  if (!args.picture.empty()) draw_answer(image, answer).save(args.picture);
}

void converse(const ChatArgs& args) {
  cli::Conversation conversation(cli::load_model(args.model), args.answer, args.regions);
  if (!args.image.empty()) conversation.open(args.image);
  conversation.run();
}

}  // namespace

void add_chat_command(CLI::App& app) {
  auto& command = *app.add_subcommand("chat", "Ask about a picture, once or in a conversation");
  const auto args = std::make_shared<ChatArgs>();
  cli::add_model_options(command, args->model);
  command.add_option("--image", args->image, "Picture to talk about; -: standard input")
      ->type_name("FILE");
  const auto* prompt =
      command.add_option("-p,--prompt", args->prompt,
                         "One question; -: standard input; without it a conversation begins");
  add_box_option(command, args->boxes);
  add_generation_options(command, *args);
  cli::add_region_options(command, args->regions);
  command.add_flag("--json", args->answer.json, "Print each answer as a line of JSON");
  cli::add_picture_option(command, args->picture, "Draw the answer to a .png, .jpg or .webp");
  command.callback([args, prompt] {
    const bool one_question = prompt->count() > 0;
    check_usage(*args, one_question);
    args->answer.options.constrain = !args->no_constrain;
    one_question ? answer_one(*args) : converse(*args);
  });
}

}  // namespace groma
