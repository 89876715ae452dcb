#pragma once

#include "eval/dataset.h"
#include "eval/json_reader.h"

namespace groma::eval {

/// Width or height of a picture: 1 to 1000000 pixels.
inline int read_side(JsonReader& json) {
  const std::int64_t value = json.integer();
  json.demand(value > 0 && value <= 1'000'000, "found ", value, ", expected 1 to 1000000 pixels");
  return static_cast<int>(value);
}

/// [x, y, width, height] of a size that is not negative.
inline XywhBox read_xywh(JsonReader& json) {
  XywhBox box{};
  std::size_t count = 0;
  json.array([&](std::size_t i) {
    const double value = json.number();
    if (i < box.size()) box[i] = value;
    ++count;
  });
  json.demand(count == box.size(), "found ", count, " numbers, expected [x, y, width, height]");
  json.demand(box[2] >= 0 && box[3] >= 0, "found width ", box[2], " and height ", box[3],
              ", expected [x, y, width, height] with sizes of 0 or more");
  return box;
}

}  // namespace groma::eval
