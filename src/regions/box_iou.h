#pragma once

#include <algorithm>

#include "groma/box.h"

namespace groma {

/// Overlap of two boxes in pixels: the area of both over that of either, [0, 1].
inline double box_iou(const Box& a, const Box& b) {
  const double width = std::min(a.x2, b.x2) - std::max(a.x1, b.x1);
  const double height = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
  if (width <= 0 || height <= 0) return 0;
  const auto area = [](const Box& box) {
    return (static_cast<double>(box.x2) - box.x1) * (static_cast<double>(box.y2) - box.y1);
  };
  return width * height / (area(a) + area(b) - width * height);
}

}  // namespace groma
