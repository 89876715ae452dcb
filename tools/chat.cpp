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
  std::vector<std::string> images;
  std::string prompt;
  cli::PointingArgs pointing;
  std::string picture;
  std::string folder;  ///< of the answers about several pictures
  bool resume = false;
  std::string draw;
  std::string session;  ///< file that the conversation is kept in
  bool no_constrain = false;

  std::string image() const { return images.empty() ? "" : images.front(); }
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

/// Whether the pictures are more than one file, or are to be treated like that.
bool many(const ChatArgs& args) {
  return !args.folder.empty() || args.images.size() > 1 || args.image().starts_with("@") ||
         std::filesystem::is_directory(args.image());
}

void check_usage(const ChatArgs& args, bool one_question) {
  if (one_question) {
    if (args.images.empty()) throw CLI::RequiredError("--image");
    if (args.prompt == "-" && args.image() == "-") {
      throw CLI::ValidationError("--prompt and --image cannot both read standard input");
    }
    if (many(args)) {
      if (args.folder.empty()) {
        throw CLI::ValidationError("several pictures need --out, a folder for the answers");
      }
      if (!args.session.empty()) throw CLI::ValidationError("--session is for one picture");
      if (!args.picture.empty()) {
        throw CLI::ValidationError("--output is for one picture; --draw is for several");
      }
    } else if (args.resume || !args.draw.empty()) {
      throw CLI::ValidationError("--resume and --draw need --out");
    }
    return;
  }
  if (args.image() == "-") {
    throw CLI::ValidationError("--image - needs --prompt: the questions come from standard input");
  }
  if (many(args)) throw CLI::ValidationError("several pictures need --prompt and --out");
  if (!args.picture.empty()) throw CLI::ValidationError("--output needs --prompt; here use /save");
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
  return prompt;
}

void answer_one(const ChatArgs& args) {
  const auto prompt = prompt_of(args);
  const auto image = cli::open_image(args.image());  // before the model: it fails sooner
  const auto groma = cli::load_model(args.model);
  auto session = groma.start(image, args.regions);
  if (!args.session.empty() && std::filesystem::exists(args.session)) {
    session.restore(io::read_text_file(args.session, cli::kMostSessionBytes));
  }
  const auto answer = cli::ask(session, image, args.image(), prompt, args.pointing, args.answer);
  if (answer.answer.finish == Finish::kCancelled) throw cli::Interrupted();
  if (!args.session.empty()) io::write_file(args.session, session.save());
  if (!args.picture.empty()) save_answer(args.picture, image, answer);
}

/// All that decides the answers about a picture.
nlohmann::ordered_json decided_by(const ChatArgs& args, const std::string& prompt) {
  const auto& options = args.answer.options;
  nlohmann::ordered_json asked = {{"model", args.model.directory},
                                  {"dtype", static_cast<int>(args.model.options.dtype)},
                                  {"prompt", prompt},
                                  {"max_new_tokens", options.max_new_tokens},
                                  {"temperature", options.temperature},
                                  {"top_p", options.top_p},
                                  {"top_k", options.top_k},
                                  {"seed", options.seed},
                                  {"grounded", options.grounded},
                                  {"constrain", options.constrain}};
  const auto& regions = args.regions;
  asked["box_score"] = regions.box_score ? nlohmann::ordered_json(*regions.box_score) : nullptr;
  asked["nms_iou"] = regions.nms_iou ? nlohmann::ordered_json(*regions.nms_iou) : nullptr;
  asked["max_regions"] =
      regions.max_regions ? nlohmann::ordered_json(*regions.max_regions) : nullptr;
  asked["tiles"] = regions.tiles;
  asked["tile_features"] = regions.tile_features;
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
  run.folder = args.folder;
  run.resume = args.resume;
  run.draw = args.draw;
  run.format = args.answer.format;
  run.label = args.answer.label;
  run.asked = decided_by(args, prompt);
  run.pictures = cli::list_pictures(args.images, args.folder);
  std::optional<Groma> groma;  // loaded when there is something to ask
  const int failed =
      cli::answer_folder(run, [&](const cli::PictureFile& picture, const Image& image) {
        if (!groma) groma.emplace(cli::load_model(args.model));
        auto session = groma->start(image, args.regions);
        return cli::ask_silently(session, image, picture.name, prompt, args.pointing, args.answer);
      });
  if (failed > 0) throw ExitStatus{3};
}

void converse(const ChatArgs& args) {
  cli::Conversation conversation(cli::load_model(args.model), args.answer, args.regions);
  if (!args.images.empty()) conversation.open(args.image());
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
  cli::add_picture_option(command, args.picture,
                          "Draw the answer to a .png, .jpg, .webp, .svg or .html");
  command
      .add_option_function<std::string>(
          "--show", [&args](const std::string& name) { args.answer.show = protocol_of(name); },
          "Draw the answer in the terminal too: auto, kitty or iterm")
      ->type_name("HOW");
  command
      .add_option("--session", args.session,
                  "Go on with the conversation in this file, where there is one, and keep it there")
      ->type_name("FILE");
  command.add_option("--out", args.folder, "Folder for the answers about several pictures")
      ->type_name("DIR");
  command.add_flag("--resume", args.resume, "Go on with the answers of --out");
  command.add_option("--draw", args.draw, "Draw each answer in --out: png, jpg, webp, svg or html")
      ->check(CLI::IsMember({"png", "jpg", "webp", "svg", "html"}).description(""))
      ->type_name("KIND");
}

}  // namespace

void add_chat_command(CLI::App& app) {
  auto& command = *app.add_subcommand("chat", "Ask about a picture, once or in a conversation");
  const auto args = std::make_shared<ChatArgs>();
  cli::add_model_options(command, args->model);
  command
      .add_option("--image", args->images,
                  "Picture to talk about; -: standard input. Several, folders and @LIST with --out")
      ->type_name("FILE");
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
    many(*args) ? answer_many(*args) : answer_one(*args);
  });
}

}  // namespace groma
