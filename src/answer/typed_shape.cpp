#include "answer/typed_shape.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>

#include "check.h"
#include "io/file.h"

namespace groma {
namespace {

struct Form {
  TypedShape::Kind kind;
  const char* option;
  const char* form;
};

constexpr Form kForms[] = {
    {TypedShape::Kind::kBox, "--box", "x1,y1,x2,y2"},
    {TypedShape::Kind::kPoints, "--points", "x,y;x,y;-x,y"},
    {TypedShape::Kind::kScribble, "--scribble", "x,y;x,y;..."},
    {TypedShape::Kind::kPolygon, "--polygon", "x,y;x,y;x,y;..."},
    {TypedShape::Kind::kMask, "--mask", "FILE"},
};

const Form& entry_of(TypedShape::Kind kind) {
  return *std::find_if(std::begin(kForms), std::end(kForms),
                       [&](const Form& form) { return form.kind == kind; });
}

/// "12.5" or "40%" at the beginning of `text`, which is shortened by it.
std::optional<TypedLength> take_length(std::string_view& text) {
  TypedLength length;
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
bool read_places(std::string_view text, char between, TypedShape& shape) {
  do {
    while (take(text, ' ')) {
    }
    const bool beside = shape.kind == TypedShape::Kind::kPoints && take(text, '-');
    const auto x = take_length(text);
    if (!x || !take(text, ',')) return false;
    const auto y = take_length(text);
    if (!y) return false;
    shape.places.push_back({*x, *y});
    shape.beside.push_back(beside);
  } while (take(text, between));
  return text.empty();
}

/// Whether one lies before the other; of pixels and per cent only the picture can tell.
bool before(const TypedLength& from, const TypedLength& to) {
  return from.percent != to.percent || from.value < to.value;
}

Point in_pixels(const std::pair<TypedLength, TypedLength>& place, const Image& image) {
  const auto pixels = [](const TypedLength& length, int side) {
    return length.percent ? length.value / 100 * static_cast<float>(side) : length.value;
  };
  return {pixels(place.first, image.width()), pixels(place.second, image.height())};
}

}  // namespace

const char* form_of(TypedShape::Kind kind) { return entry_of(kind).form; }

TypedShape parse_shape(TypedShape::Kind kind, const std::string& text) {
  TypedShape shape;
  shape.kind = kind;
  shape.text = entry_of(kind).option + (" " + text);
  const auto equals = text.find('=');
  if (equals != std::string::npos && equals > 0) shape.name = text.substr(0, equals);
  const auto value = shape.name.empty() ? text : text.substr(equals + 1);
  bool sound = true;
  if (kind == TypedShape::Kind::kMask) {
    shape.file = value;
  } else {
    sound = read_places(value, kind == TypedShape::Kind::kBox ? ',' : ';', shape) &&
            (kind != TypedShape::Kind::kBox || shape.places.size() == 2);
  }
  require(sound, io::quote(text), " is not ", form_of(kind),
          kind == TypedShape::Kind::kBox ? ", four pixel numbers" : ", pixel numbers",
          ", each perhaps with % behind it");
  if (kind == TypedShape::Kind::kBox) {
    const auto& from = shape.places[0];
    const auto& to = shape.places[1];
    require(before(from.first, to.first) && before(from.second, to.second), io::quote(text),
            " is empty or reversed; x1 < x2 and y1 < y2 are expected");
  }
  return shape;
}

Box box_of(const TypedShape& shape, const Image& image) {
  const auto from = in_pixels(shape.places[0], image), to = in_pixels(shape.places[1], image);
  return {from.x, from.y, to.x, to.y};
}

Pointing pointing_of(const TypedShape& shape, const Image& image) {
  Pointing pointing;
  if (shape.kind == TypedShape::Kind::kMask) {
    pointing.kind = Pointing::Kind::kMask;
    pointing.mask = read_mask(shape.file, image.width(), image.height());
    return pointing;
  }
  pointing.kind = shape.kind == TypedShape::Kind::kPoints     ? Pointing::Kind::kPoints
                  : shape.kind == TypedShape::Kind::kScribble ? Pointing::Kind::kScribble
                                                              : Pointing::Kind::kPolygon;
  for (std::size_t i = 0; i < shape.places.size(); ++i) {
    (shape.beside[i] ? pointing.outside : pointing.points)
        .push_back(in_pixels(shape.places[i], image));
  }
  return pointing;
}

}  // namespace groma
