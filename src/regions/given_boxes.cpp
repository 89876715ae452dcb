#include "regions/given_boxes.h"

#include <cmath>
#include <sstream>

#include "check.h"

namespace groma {

void validate_boxes(const std::vector<Box>& boxes, int width, int height) {
  for (size_t i = 0; i < boxes.size(); ++i) {
    const auto [x1, y1, x2, y2] = boxes[i];
    std::ostringstream shown;
    shown << "box " << i + 1 << " (" << x1 << ", " << y1 << ", " << x2 << ", " << y2 << ")";
    require(std::isfinite(x1) && std::isfinite(y1) && std::isfinite(x2) && std::isfinite(y2),
            "chat: ", shown.str(), " is not made of numbers; give x1,y1,x2,y2 in pixels");
    require(x1 < x2 && y1 < y2, "chat: ", shown.str(),
            " is empty or reversed; x1 < x2 and y1 < y2 are expected");
    require(
        x1 >= 0 && y1 >= 0 && x2 <= static_cast<float>(width) && y2 <= static_cast<float>(height),
        "chat: ", shown.str(), " leaves the picture, which is ", width, " x ", height,
        " pixels; give a box inside it");
  }
}

}  // namespace groma
