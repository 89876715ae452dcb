#pragma once

#include <optional>
#include <string>
#include <vector>

#include "groma/box.h"

namespace groma {

/// Reads "x1,y1,x2,y2"; nothing when it is not four numbers.
std::optional<Box> parse_box(const std::string& text);

/// Checks boxes in pixels against a picture; throws an Error naming the first bad one.
void validate_boxes(const std::vector<Box>& boxes, int width, int height);

}  // namespace groma
