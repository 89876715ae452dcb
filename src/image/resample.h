#pragma once

#include <cstdint>

namespace groma {

/// Bicubic resampling that equals Pillow's `Image.resize((size, size), BICUBIC)` to the level.
///
/// When shrinking, the filter widens with the scale, so that every source pixel counts.
/// rgb       height * width * 3 bytes, at most kMaxImageSide a side
/// target    size * size * 3 bytes
/// source    Keys 1981 with a = -1/2; rounding and order of the passes as in Pillow 13
void resample_bicubic(const std::uint8_t* rgb, int width, int height, std::uint8_t* target,
                      int size);

}  // namespace groma
