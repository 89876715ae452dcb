#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "answer.h"
#include "answer_folder.h"
#include "args.h"
#include "commands.h"
#include "conversation.h"
#include "interrupt.h"
#include "io/file.h"
#include "pointing.h"

namespace groma {
namespace {

struct ChatArgs {
  cli::ModelArgs model;
  RegionOptions regions;
  cli::AnswerArgs answer;
  cli::PictureArgs pictures;
  std::string prompt;
  cli::PointingArgs pointing;
  std::string session;  ///< file that the conversation is kept in
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
      ->type_name("P")
      ->needs("--temp");
  command.add_option("--top-k", options.top_k, "Sample from this many tokens; 0: all")
      ->check(CLI::Range(0, 1 << 20).description(""))
      ->type_name("K")
      ->needs("--temp");
  cli::add_seed_option(command, options.seed, "Of sampling")->needs("--temp");
  command.add_flag("--grounded", options.grounded, "Ask for phrases with their regions");
  command.add_flag("--no-constrain", args.no_constrain,
                   "Let the model name regions that do not exist, as the original does");
}

void check_usage(const ChatArgs& args, bool one_question) {
  const auto& pictures = args.pictures;
  if (one_question) {
    if (pictures.images.empty()) throw CLI::RequiredError("--image");
    if (args.prompt == "-" && pictures.image() == "-") {
      throw CLI::ValidationError("--prompt and --image cannot both read standard input");
    }
    check_usage(pictures);
    if (!pictures.many()) return;
    if (!args.session.empty()) throw CLI::ValidationError("--session is for one picture");
    if (args.answer.show) throw CLI::ValidationError("--show is for one picture; see --draw");
    return;
  }
  if (pictures.image() == "-") {
    throw CLI::ValidationError("--image - needs --prompt: the questions come from standard input");
  }
  if (pictures.many()) throw CLI::ValidationError("several pictures need --prompt and --out");
  if (!pictures.drawing.empty()) {
    throw CLI::ValidationError("--output needs --prompt; here use /save");
  }
  check_usage(pictures);
  if (!args.session.empty()) {
    throw CLI::ValidationError("--session needs --prompt; here use /keep and /resume");
  }
  const auto& pointing = args.pointing;
  if (!pointing.shapes.empty()) {
    throw CLI::ValidationError("--box and the like need --prompt; here use /box, /point ...");
  }
  if (pointing.masked || pointing.join || !pointing.only.empty() || !pointing.drop.empty()) {
    throw CLI::ValidationError("--masked, --join, --only and --drop need --prompt");
  }
}

std::string prompt_of(const ChatArgs& args) {
  auto prompt = args.prompt == "-" ? cli::read_stdin() : args.prompt;
  while (!prompt.empty() && (prompt.back() == '\n' || prompt.back() == '\r')) prompt.pop_back();
  cli::as_usage([&] { cli::check_question(prompt, args.pointing); });
  return prompt;
}

void answer_one(const ChatArgs& args) {
  const auto prompt = prompt_of(args);
  const auto image = cli::open_image(args.pictures.image());  // before the model: it fails sooner
  const auto groma = cli::load_model(args.model);
  auto session = groma.start(image, args.regions);
  if (!args.session.empty() && std::filesystem::exists(args.session)) {
    session.restore(io::read_text_file(args.session, cli::kMostSessionBytes), args.session);
  }
  const auto answer =
      cli::ask(session, image, args.pictures.image(), prompt, args.pointing, args.answer);
  if (answer.answer.finish == Finish::kCancelled) throw cli::Interrupted();
  if (!args.session.empty()) io::write_file(args.session, session.save());
  if (!args.pictures.drawing.empty()) save_answer(args.pictures.drawing, image, answer);
}

/// All that decides the answers about a picture.
nlohmann::ordered_json decided_by(const ChatArgs& args, const std::string& prompt) {
  const auto& options = args.answer.options;
  auto asked = cli::decided_by("chat", args.model, args.regions);
  asked["prompt"] = prompt;
  asked["max_new_tokens"] = options.max_new_tokens;
  asked["temperature"] = options.temperature;
  asked["top_p"] = options.top_p;
  asked["top_k"] = options.top_k;
  asked["seed"] = options.seed;
  asked["grounded"] = options.grounded;
  asked["constrain"] = options.constrain;
  asked["masks"] = args.answer.masks;
  asked["min_score"] = args.answer.min_score;
  const auto& pointing = args.pointing;
  asked["masked"] = pointing.masked;
  asked["join"] = pointing.join;
  asked["only"] = pointing.only;
  asked["drop"] = pointing.drop;
  auto& shapes = asked["shapes"] = nlohmann::ordered_json::array();
  for (const auto& shape : pointing.shapes) shapes.push_back(shape.text);
  return asked;
}

void answer_many(const ChatArgs& args) {
  const auto prompt = prompt_of(args);
  cli::FolderRun run;
  run.args = args.pictures;
  run.pictures = cli::list_pictures(args.pictures);
  run.format = args.answer.format;
  run.label = args.answer.label;
  run.asked = decided_by(args, prompt);
  std::optional<Groma> groma;  // loaded when there is something to ask
  cli::answer_folder(run, [&](const cli::PictureFile& picture, const Image& image) {
    if (!groma) groma.emplace(cli::load_model(args.model));
    auto session = groma->start(image, args.regions);
    return cli::ask_silently(session, image, picture.name, prompt, args.pointing, args.answer);
  });
}

void converse(const ChatArgs& args) {
  cli::Conversation conversation(cli::load_model(args.model), args.answer, args.regions);
  if (!args.pictures.images.empty()) conversation.open(args.pictures.image());
  conversation.run();
}

cli::PictureProtocol protocol_of(const std::string& name) {
  if (name == "kitty") return cli::PictureProtocol::kKitty;
  if (name == "iterm") return cli::PictureProtocol::kIterm;
  if (name != "auto") throw CLI::ValidationError("'" + name + "' is none of auto, kitty, iterm");
  const auto known = cli::known_protocol();
  if (!known) {
    throw CLI::ValidationError(
        "this terminal is not known to show pictures, as kitty, Ghostty, iTerm2 and WezTerm are; "
        "use -o FILE, or name the protocol: kitty or iterm");
  }
  return *known;
}

void add_output_options(CLI::App& command, ChatArgs& args) {
  command
      .add_option("--min-score", args.answer.min_score,
                  "Regions of less confidence are left out of the answer, 0 to 1")
      ->check(CLI::Range(0.0, 1.0).description(""))
      ->type_name("C");
  command.add_flag("--masks", args.answer.masks,
                   "Find the pixels of each region by colour, drawn and in the formats");
  cli::add_format_options(command, args.answer.format, args.answer.label);
  command
      .add_option_function<std::string>(
          "--show", [&args](const std::string& name) { args.answer.show = protocol_of(name); },
          "Draw the answer in the terminal too: auto, kitty or iterm")
      ->type_name("HOW");
  command
      .add_option("--session", args.session,
                  "Go on with the conversation in this file, where there is one, and keep it there")
      ->type_name("FILE")
      ->each(cli::check_folder_of);
}

}  // namespace

void add_chat_command(CLI::App& app) {
  auto& command = *app.add_subcommand("chat", "Ask about a picture, once or in a conversation");
  const auto args = std::make_shared<ChatArgs>();
  cli::add_model_options(command, args->model);
  cli::add_pictures(command, args->pictures);
  const auto* prompt =
      command.add_option("-p,--prompt", args->prompt,
                         "One question; -: standard input; without it a conversation begins");
  command
      .add_option("--cache", args->model.options.cache,
                  "Folder that keeps what was seen of each picture, for the next question about it")
      ->type_name("DIR");
  cli::add_pointing_options(command, args->pointing);
  add_generation_options(command, *args);
  cli::add_region_options(command, args->regions);
  add_output_options(command, *args);
  command.callback([args, prompt] {
    const bool one_question = prompt->count() > 0;
    check_usage(*args, one_question);
    args->answer.options.constrain = !args->no_constrain;
    args->answer.calibration = Calibration::read(args->model.directory);
    if (!one_question) return converse(*args);
    args->pictures.many() ? answer_many(*args) : answer_one(*args);
  });
}

}  // namespace groma
