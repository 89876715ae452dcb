#include "pointing.h"

#include <algorithm>
#include <charconv>
#include <iostream>
#include <map>
#include <optional>

#include "check.h"
#include "io/file.h"

namespace groma::cli {
namespace {

struct ShapeOption {
  Shape::Kind kind;
  const char* option;
  const char* form;
  const char* help;
};

constexpr ShapeOption kShapeOptions[] = {
    {Shape::Kind::kBox, "--box", "x1,y1,x2,y2",
     "A box in pixels, or in % of the sides; repeat for more. <box> in the prompt is the next"},
    {Shape::Kind::kPoints, "--point,--points", "x,y;x,y;-x,y",
     "A click on it, or several; - before one that is beside it"},
    {Shape::Kind::kScribble, "--scribble", "x,y;x,y;...", "A line drawn over it"},
    {Shape::Kind::kPolygon, "--polygon", "x,y;x,y;x,y;...", "Its outline"},
    {Shape::Kind::kMask, "--mask", "FILE", "Its pixels: a picture, black outside"},
};

const ShapeOption& option_of(Shape::Kind kind) {
  return *std::find_if(std::begin(kShapeOptions), std::end(kShapeOptions),
                       [&](const ShapeOption& option) { return option.kind == kind; });
}

/// "12.5" or "40%" at the beginning of `text`, which is shortened by it.
std::optional<Length> take_length(std::string_view& text) {
  Length length;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length.value);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(end - text.data());
  length.percent = text.starts_with('%');
  if (length.percent) text.remove_prefix(1);
  return length;
}

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

/// Reads places into `shape`; false when they are none.
bool read_places(std::string_view text, char between, Shape& shape) {
  do {
    while (take(text, ' ')) {
    }
    const bool beside = shape.kind == Shape::Kind::kPoints && take(text, '-');
    const auto x = take_length(text);
    if (!x || !take(text, ',')) return false;
    const auto y = take_length(text);
    if (!y) return false;
    shape.places.push_back({*x, *y});
    shape.beside.push_back(beside);
  } while (take(text, between));
  return text.empty();
}

Point in_pixels(const std::pair<Length, Length>& place, const Image& image) {
  const auto pixels = [](const Length& length, int side) {
    return length.percent ? length.value / 100 * static_cast<float>(side) : length.value;
  };
  return {pixels(place.first, image.width()), pixels(place.second, image.height())};
}

Pointing pointing_of(const Shape& shape, const Image& image) {
  Pointing pointing;
  if (shape.kind == Shape::Kind::kMask) {
    pointing.kind = Pointing::Kind::kMask;
    pointing.mask = read_mask(shape.file, image.width(), image.height());
    return pointing;
  }
  pointing.kind = shape.kind == Shape::Kind::kPoints     ? Pointing::Kind::kPoints
                  : shape.kind == Shape::Kind::kScribble ? Pointing::Kind::kScribble
                                                         : Pointing::Kind::kPolygon;
  for (std::size_t i = 0; i < shape.places.size(); ++i) {
    (shape.beside[i] ? pointing.outside : pointing.points)
        .push_back(in_pixels(shape.places[i], image));
  }
  return pointing;
}

Referent box_referent(const Shape& shape, const Image& image) {
  const auto from = in_pixels(shape.places[0], image), to = in_pixels(shape.places[1], image);
  return {shape.name, {from.x, from.y, to.x, to.y}, true, 1, 1, {}};
}

/// The region that a shape means; `regions` are those that the model will see.
Referent find(Session& session, const Shape& shape, const Pointing& pointing,
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

/// The prompt with "<box>" for every name, and which shape each "<box>" then speaks of.
std::vector<std::size_t> place_names(std::string& prompt, const std::vector<Shape>& shapes) {
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
    require(order.empty() || used[i], "read the prompt: nothing in it speaks of ",
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
  std::string_view rest = text;
  do {
    int number = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (error != std::errc()) throw CLI::ValidationError("'" + text + "' is no list like 0,3,5");
    numbers.push_back(number);
    rest.remove_prefix(end - rest.data());
  } while (take(rest, ','));
  if (!rest.empty()) throw CLI::ValidationError("'" + text + "' is no list like 0,3,5");
  return numbers;
}

}  // namespace

Shape parse_shape(Shape::Kind kind, const std::string& text) {
  Shape shape;
  shape.kind = kind;
  shape.text = option_of(kind).option + (" " + text);
  const auto equals = text.find('=');
  if (equals != std::string::npos && equals > 0) shape.name = text.substr(0, equals);
  const auto value = shape.name.empty() ? text : text.substr(equals + 1);
  bool sound = true;
  if (kind == Shape::Kind::kMask) {
    shape.file = value;
  } else {
    sound = read_places(value, kind == Shape::Kind::kBox ? ',' : ';', shape) &&
            (kind != Shape::Kind::kBox || shape.places.size() == 2);
  }
  require(sound, io::quote(text), " is not ", option_of(kind).form,
          kind == Shape::Kind::kBox ? ", four pixel numbers" : ", pixel numbers",
          ", each perhaps with % behind it");
  return shape;
}

void add_pointing_options(CLI::App& command, PointingArgs& args) {
  for (const auto& option : kShapeOptions) {
    const auto add = [&args, kind = option.kind](const std::string& text) {
      try {
        args.shapes.push_back(parse_shape(kind, text));
      } catch (const Error& error) {
        throw CLI::ValidationError(error.what());
      }
    };
    command.add_option_function<std::string>(option.option, add, option.help)
        ->type_name(std::string("[NAME=]") + option.form)
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
  list("--only", args.only, "Of the regions that propose lists, keep these alone");
  list("--drop", args.drop, "Of the regions that propose lists, leave these out");
}

ReadyQuestion make_ready(Session& session, const Image& image, const std::string& prompt,
                         const PointingArgs& args) {
  ReadyQuestion ready;
  ready.prompt = prompt;
  const auto order = place_names(ready.prompt, args.shapes);
  const bool filter = !args.only.empty() || !args.drop.empty();
  const bool boxes_alone =
      std::all_of(args.shapes.begin(), args.shapes.end(),
                  [](const Shape& shape) { return shape.kind == Shape::Kind::kBox; });
  std::vector<Region> regions;
  std::map<int, Mask> masks;
  bool changed = filter;
  if (filter || args.join || !boxes_alone) regions = session.regions();
  if (filter) regions = filtered(regions, args);
  std::vector<Referent> found;
  for (const auto& shape : args.shapes) {
    if (shape.kind == Shape::Kind::kBox) {
      found.push_back(box_referent(shape, image));
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
