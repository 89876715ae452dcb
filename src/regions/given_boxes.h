#pragma once

#include <vector>

#include "groma/box.h"

namespace groma {

/// Checks boxes in pixels against a picture; throws an Error naming the first bad one.
void validate_boxes(const std::vector<Box>& boxes, int width, int height);

}  // namespace groma
