#include "pointing.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "args.h"
#include "check.h"
#include "io/file.h"

namespace groma::cli {
namespace {

struct ShapeOption {
  TypedShape::Kind kind;
  const char* option;
  const char* help;
};

constexpr ShapeOption kShapeOptions[] = {
    {TypedShape::Kind::kBox, "--box",
     "A box in pixels, or in % of the sides; repeat for more. <box> in the prompt is the next"},
    {TypedShape::Kind::kPoints, "--point,--points",
     "A click on it, or several; - before one that is beside it"},
    {TypedShape::Kind::kScribble, "--scribble", "A line drawn over it"},
    {TypedShape::Kind::kPolygon, "--polygon", "Its outline"},
    {TypedShape::Kind::kMask, "--mask", "Its pixels: a picture, black outside"},
};

/// The region that a shape means; `regions` are those that the model will see.
Referent find(Session& session, const TypedShape& shape, const Pointing& pointing,
              const std::vector<Region>& regions, const Image& image) {
  Referent found{shape.name, {}, false, 0, 0, {}};
  auto pointed = point_at(pointing, regions, image);
  found.next = pointed.next;
  if (pointed.candidate >= 0) {
    found.score = regions[pointed.candidate].score;
  } else {
    const auto proposals = session.proposals();
    pointed = point_at(pointing, proposals, image);
    if (pointed.candidate >= 0) found.score = proposals[pointed.candidate].score;
    found.own = pointed.candidate < 0;
  }
  found.box = pointed.box;
  found.fit = pointed.fit;
  return found;
}

/// The regions that remain of `regions` as --only and --drop ask.
std::vector<Region> filtered(const std::vector<Region>& regions, const PointingArgs& args) {
  std::vector<bool> keep(regions.size(), args.only.empty());
  const auto mark = [&](const std::vector<int>& numbers, bool kept) {
    for (const int number : numbers) {
      require(number >= 0 && static_cast<std::size_t>(number) < regions.size(),
              "choose regions: there is no region ", number, "; the picture has ", regions.size(),
              ", listed by groma propose");
      keep[number] = kept;
    }
  };
  mark(args.only, true);
  mark(args.drop, false);
  std::vector<Region> left;
  for (std::size_t i = 0; i < regions.size(); ++i) {
    if (keep[i]) left.push_back(regions[i]);
  }
  return left;
}

bool has_inside(const TypedShape& shape) {
  return shape.kind == TypedShape::Kind::kPolygon || shape.kind == TypedShape::Kind::kMask;
}

/// The prompt with "<box>" for every name, and which shape each "<box>" then speaks of.
std::vector<std::size_t> place_names(std::string& prompt, const std::vector<TypedShape>& shapes) {
  std::map<std::string, std::size_t> named;
  std::vector<std::size_t> nameless, order;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    if (shapes[i].name.empty()) {
      nameless.push_back(i);
    } else {
      require(named.insert({shapes[i].name, i}).second, "read the prompt: two shapes are called ",
              io::quote(shapes[i].name), "; give each a name of its own");
    }
  }
  constexpr std::string_view kPlace = "<box>";
  std::string out;
  std::vector<bool> used(shapes.size(), false);
  std::size_t next = 0;
  const auto refer = [&](std::size_t shape) {
    order.push_back(shape);
    used[shape] = true;
    out += kPlace;
  };
  for (std::size_t at = 0; at < prompt.size();) {
    const auto close = prompt[at] == '{' ? prompt.find('}', at) : std::string::npos;
    const auto name = close == std::string::npos
                          ? named.end()
                          : named.find(prompt.substr(at + 1, close - at - 1));
    if (name != named.end()) {
      refer(name->second);
      at = close + 1;
    } else if (prompt.compare(at, kPlace.size(), kPlace) == 0) {
      require(next < nameless.size(),
              "read the prompt: more <box> in it than shapes without a "
              "name, which are ",
              nameless.size(), "; give a shape for each");
      refer(nameless[next++]);
      at += kPlace.size();
    } else {
      out += prompt[at++];
    }
  }
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const bool places = !order.empty() || !shapes[i].name.empty();
    require(used[i] || !places, "read the prompt: nothing in it speaks of ",
            shapes[i].name.empty() ? "shape " + std::to_string(i + 1)
                                   : io::quote(shapes[i].name) + " as {" + shapes[i].name + "}",
            "; write a place for each shape, or for none");
  }
  if (order.empty()) {
    for (std::size_t i = 0; i < shapes.size(); ++i) order.push_back(i);
  }
  prompt = out;
  return order;
}

std::vector<int> parse_numbers(const std::string& text) {
  std::vector<int> numbers;
  const char* at = text.data();
  const char* const end = at + text.size();
  for (bool more = true; more;) {
    auto& number = numbers.emplace_back();
    const auto [next, error] = std::from_chars(at, end, number);
    more = next != end && *next == ',';
    if (error != std::errc() || (next != end && !more)) {
      throw CLI::ValidationError("'" + text + "' is no list like 0,3,5");
    }
    at = next + 1;
  }
  return numbers;
}

}  // namespace

void add_pointing_options(CLI::App& command, PointingArgs& args) {
  for (const auto& option : kShapeOptions) {
    const auto add = [&args, kind = option.kind](const std::string& text) {
      args.shapes.push_back(as_usage([&] { return parse_shape(kind, text); }));
    };
    command.add_option_function<std::string>(option.option, add, option.help)
        ->type_name(std::string("[NAME=]") + form_of(option.kind))
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->trigger_on_parse();
  }
  command.add_flag("--masked", args.masked,
                   "Features outside of --polygon and --mask do not reach their region");
  command.add_flag("--join", args.join, "Boxes join the regions and suppress none");
  const auto list = [&command](const char* name, std::vector<int>& numbers, const char* help) {
    command
        .add_option_function<std::string>(
            name, [&numbers](const std::string& text) { numbers = parse_numbers(text); }, help)
        ->type_name("K,K,...");
  };
  list("--only", args.only,
       "Of the regions that propose lists, keep these alone; they are numbered anew");
  list("--drop", args.drop,
       "Of the regions that propose lists, leave these out; the others are numbered anew");
}

void check_question(std::string prompt, const PointingArgs& args) {
  require(prompt.find_first_not_of(" \t\r\n") != std::string::npos,
          "the prompt is empty; ask something");
  place_names(prompt, args.shapes);
  require(!args.masked || std::any_of(args.shapes.begin(), args.shapes.end(), has_inside),
          "--masked: no --polygon or --mask whose outside could be left out; give one");
}

ReadyQuestion make_ready(Session& session, const Image& image, const std::string& prompt,
                         const PointingArgs& args) {
  ReadyQuestion ready;
  ready.prompt = prompt;
  const auto order = place_names(ready.prompt, args.shapes);
  const bool filter = !args.only.empty() || !args.drop.empty();
  const bool boxes_alone =
      std::all_of(args.shapes.begin(), args.shapes.end(),
                  [](const TypedShape& shape) { return shape.kind == TypedShape::Kind::kBox; });
  std::vector<Region> regions;
  std::map<int, Mask> masks;
  bool changed = filter;
  if (filter || args.join || !boxes_alone) regions = session.regions();
  if (filter) regions = filtered(regions, args);
  std::vector<Referent> found;
  for (const auto& shape : args.shapes) {
    if (shape.kind == TypedShape::Kind::kBox) {
      found.push_back({shape.name, box_of(shape, image), true, 1, 1, {}});
      if (!args.join) continue;
    } else {
      const auto pointing = pointing_of(shape, image);
      const auto mask = args.masked ? mask_of(pointing, image) : std::nullopt;
      if (!mask) {
        found.push_back(find(session, shape, pointing, regions, image));
        continue;
      }
      found.push_back({shape.name, tight_box(*mask), true, 1, 1, {}});
      masks[static_cast<int>(regions.size())] = *mask;
    }
    regions.push_back({found.back().box, 1, true});
    changed = true;
  }
  if (changed) session.choose(regions, masks);
  for (const auto shape : order) {
    ready.boxes.push_back(found[shape].box);
    ready.referents.push_back(found[shape]);
  }
  return ready;
}

}  // namespace groma::cli
