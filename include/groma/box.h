#pragma once

namespace groma {

/// A rectangle in pixels of the image as displayed (EXIF orientation applied), origin top left.
///
/// x1, y1 is the upper left corner, x2, y2 the lower right one; never normalised, never cxcywh.
struct Box {
  float x1 = 0;
  float y1 = 0;
  float x2 = 0;
  float y2 = 0;
};

inline bool operator==(const Box& a, const Box& b) {
  return a.x1 == b.x1 && a.y1 == b.y1 && a.x2 == b.x2 && a.y2 == b.y2;
}

}  // namespace groma
