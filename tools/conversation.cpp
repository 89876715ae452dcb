#include "conversation.h"

#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <string_view>
#include <utility>

#include "args.h"
#include "check.h"
#include "io/file.h"
#include "line_reader.h"
#include "output.h"
#include "terminal.h"

namespace groma::cli {
namespace {

struct Command {
  std::string_view name;
  std::string_view argument;  ///< what it takes; empty for nothing
  std::string_view help;
  void (*run)(Conversation&, const std::string& argument);
};

constexpr Command kCommands[] = {
    {"/image", "FILE", "talk about another picture",
     [](Conversation& c, const std::string& file) { c.open(file); }},
    {"/box", "[NAME=]x1,y1,x2,y2", "a box for the next question; <box> or {NAME} speaks of it",
     [](Conversation& c, const std::string& text) { c.add_shape(TypedShape::Kind::kBox, text); }},
    {"/point", "x,y;x,y;-x,y", "clicks on it instead, - before one that is beside it",
     [](Conversation& c, const std::string& text) {
       c.add_shape(TypedShape::Kind::kPoints, text);
     }},
    {"/scribble", "x,y;x,y;...", "a line drawn over it",
     [](Conversation& c, const std::string& text) {
       c.add_shape(TypedShape::Kind::kScribble, text);
     }},
    {"/polygon", "x,y;x,y;x,y", "its outline",
     [](Conversation& c, const std::string& text) {
       c.add_shape(TypedShape::Kind::kPolygon, text);
     }},
    {"/mask", "FILE", "its pixels: a picture, black outside",
     [](Conversation& c, const std::string& text) { c.add_shape(TypedShape::Kind::kMask, text); }},
    {"/regions", "", "list the regions of the picture",
     [](Conversation& c, const std::string&) { c.list_regions(); }},
    {"/save", "FILE", "draw the last answer: .png, .jpg, .webp, .svg or .html",
     [](Conversation& c, const std::string& file) { c.save(file); }},
    {"/keep", "FILE", "write the conversation, to go on with it another day",
     [](Conversation& c, const std::string& file) { c.keep(file); }},
    {"/resume", "FILE", "go on with such a conversation about this picture",
     [](Conversation& c, const std::string& file) { c.resume(file); }},
    {"/clear", "", "forget the conversation, keep the picture",
     [](Conversation& c, const std::string&) { c.clear(); }},
    {"/help", "", "this list", [](Conversation& c, const std::string&) { c.help(); }},
    {"/quit", "", "leave (or Ctrl-D, or Ctrl-C twice)", nullptr},
};

std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(" \t") - first + 1));
}

/// A file name as typed, without the quotes that a dragged file comes with.
std::string unquoted(const std::string& name) {
  const bool quoted = name.size() > 1 && (name.front() == '\'' || name.front() == '"') &&
                      name.back() == name.front();
  return quoted ? name.substr(1, name.size() - 2) : name;
}

TypedShape named_shape(const std::string& name, const Box& box) {
  TypedShape shape;
  shape.name = name;
  shape.places = {{{box.x1}, {box.y1}}, {{box.x2}, {box.y2}}};
  return shape;
}

}  // namespace

Conversation::Conversation(Groma groma, AnswerArgs args, RegionOptions regions)
    : groma_(std::move(groma)), args_(std::move(args)), region_options_(std::move(regions)) {
  args_.interactive = true;
}

void Conversation::open(const std::string& image_file) {
  const auto file = unquoted(image_file);
  image_ = Image::open(file);
  file_ = file;
  clear();
  std::cerr << image_->width() << " x " << image_->height() << " pixels\n";
}

void Conversation::clear() {
  pointing_ = {};
  named_.clear();
  last_.reset();
  session_.reset();
  if (image_) session_.emplace(groma_.start(*image_, region_options_));
}

void Conversation::add_shape(TypedShape::Kind kind, const std::string& text) {
  auto& shapes = pointing_.shapes;
  shapes.push_back(parse_shape(kind, kind == TypedShape::Kind::kMask ? unquoted(text) : text));
  std::cerr << shapes.size() << (shapes.size() == 1 ? " shape joins" : " shapes join")
            << " the next question\n";
}

void Conversation::list_regions() {
  require(session_.has_value(), "/regions: there is no picture yet; open one with /image FILE");
  cli::list_regions(std::cerr, session_->regions());
}

void Conversation::save(const std::string& picture_file) {
  require(last_.has_value(), "/save: there is no answer yet; ask something first");
  const auto file = unquoted(picture_file);
  save_answer(file, *image_, *last_);
  std::cerr << "wrote " << file << '\n';
}

void Conversation::keep(const std::string& file) {
  require(session_.has_value(), "/keep: there is no picture yet; open one with /image FILE");
  io::write_file(unquoted(file), session_->save());
  std::cerr << "wrote " << unquoted(file) << '\n';
}

void Conversation::resume(const std::string& file) {
  require(session_.has_value(), "/resume: there is no picture yet; open one with /image FILE");
  session_->restore(io::read_text_file(unquoted(file), kMostSessionBytes), unquoted(file));
  last_.reset();
}

void Conversation::question(const std::string& prompt) {
  require(session_.has_value(), "there is no picture yet; open one with /image FILE");
  // Taken away first: a shape that does not fit the picture must not spoil every later question.
  auto pointing = std::exchange(pointing_, {});
  for (const auto& [name, box] : named_) {
    const auto same = [&name = name](const TypedShape& shape) { return shape.name == name; };
    const auto& shapes = pointing.shapes;
    if (prompt.find("{" + name + "}") == std::string::npos ||
        std::any_of(shapes.begin(), shapes.end(), same)) {
      continue;
    }
    pointing.shapes.push_back(named_shape(name, box));
  }
  last_ = ask(*session_, *image_, file_, prompt, pointing, args_);
  for (const auto& referent : last_->referents) {
    if (!referent.name.empty()) named_[referent.name] = referent.box;
  }
}

void Conversation::help() {
  for (const auto& command : kCommands) {
    std::string usage(command.name);
    if (!command.argument.empty()) usage.append(" ").append(command.argument);
    usage.resize(26, ' ');
    std::cerr << "  " << usage << command.help << '\n';
  }
}

bool Conversation::obey(const std::string& line) {
  const auto space = line.find_first_of(" \t");
  const auto name = line.substr(0, space);
  const auto argument = space == std::string::npos ? "" : trimmed(line.substr(space));
  for (const auto& command : kCommands) {
    if (command.name != name) continue;
    if (!command.run) return false;
    require(argument.empty() == command.argument.empty(), name, ": expected ",
            command.argument.empty() ? "nothing after it" : command.argument, "; see /help");
    command.run(*this, argument);
    return true;
  }
  require(false, name, ": no such command; see /help");
  return true;
}

void Conversation::run() {
  LineReader lines;
  if (isatty(STDIN_FILENO)) std::cerr << "Ask about the picture; /help lists the commands.\n";
  while (auto typed = lines.next("> ")) {
    const auto line = trimmed(*typed);
    if (line.empty()) continue;
    try {
      if (line.front() != '/') {
        question(line);
      } else if (!obey(line)) {
        return;
      }
    } catch (const Error& error) {
      std::cerr << coloured("groma: ", 5) << error.what() << '\n';
    }
  }
}

}  // namespace groma::cli
