#include <algorithm>
#include <array>

#include "answer/typed_shape.h"
#include "fuzz/support.h"
#include "fuzz/targets.h"
#include "saved_session.h"

namespace groma::fuzz {
namespace {

bool inside(const Box& box, const Image& image) {
  return box.x1 >= 0 && box.y1 >= 0 && box.x1 <= box.x2 && box.y1 <= box.y2 &&
         box.x2 <= static_cast<float>(image.width()) &&
         box.y2 <= static_cast<float>(image.height());
}

/// Four bytes for each of some candidate boxes.
std::vector<Region> candidates_from(std::string_view& input, const Image& image) {
  std::vector<Region> candidates(take_byte(input) % 8);
  for (auto& [box, score, given] : candidates) {
    std::array<int, 4> at = {};
    for (int& value : at) value = take_byte(input);
    const auto [x1, x2] = std::minmax({at[0] % (image.width() + 1), at[1] % (image.width() + 1)});
    const auto [y1, y2] = std::minmax({at[2] % (image.height() + 1), at[3] % (image.height() + 1)});
    box = {static_cast<float>(x1), static_cast<float>(y1), static_cast<float>(x2),
           static_cast<float>(y2)};
    score = static_cast<float>(at[0]) / 255;
  }
  return candidates;
}

}  // namespace

/// Width, height, candidates, the kind of shape, and the shape as typed.
void pointing(std::string_view input) {
  const int width = take_byte(input) + 1, height = take_byte(input) + 1;
  const auto image = gray_picture(width, height);
  const auto candidates = candidates_from(input, image);
  constexpr TypedShape::Kind kKinds[] = {TypedShape::Kind::kPoints, TypedShape::Kind::kScribble,
                                         TypedShape::Kind::kPolygon};
  const auto kind = kKinds[take_byte(input) % 3];
  accepted([&] {
    const auto shape = parse_shape(kind, std::string(input));
    const auto pointed_at = pointing_of(shape, image);
    const auto found = point_at(pointed_at, candidates, image);
    const auto count = static_cast<int>(candidates.size());
    promise(inside(found.box, image), "what is pointed at lies inside the picture");
    promise(found.candidate >= -1 && found.candidate < count, "the candidate exists");
    promise(found.fit >= 0 && found.fit <= 1, "a fit is a share");
    for (const auto& next : found.next) {
      promise(next.candidate >= 0 && next.candidate < count, "runners-up exist");
      promise(next.fit <= found.fit, "runners-up come after the first");
    }
    if (const auto mask = mask_of(pointed_at, image)) {
      promise(mask->width == width && mask->height == height, "a mask has the picture's size");
    }
  });
}

/// The file of a conversation about one picture.
void saved_session(std::string_view input) {
  static const auto image = gray_picture(6, 4);
  accepted([&] {
    const auto session = parse_saved_session(std::string(input), image, "input");
    if (memory_runs_out()) return;
    const auto text = to_json(session, image);
    promise(to_json(parse_saved_session(text, image, "saved"), image) == text,
            "a saved session survives being written");
    for (const auto& region : session.regions) {
      promise(region.mask.width == 0 || region.mask.inside.size() == 24, "masks fit the picture");
    }
  });
}

}  // namespace groma::fuzz
