#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "groma/groma.h"

namespace groma {

/// How many times as large to draw an image so that labels have room: 1 where a side has 448
/// pixels, else enough for that.
int drawing_scale(const Image& image);

/// The image, `times` as large, with one colour per phrase: box, label, legible at any size.
///
/// Masks, by region, are laid half-transparent over their pixels. Phrases without words are
/// labelled with their region numbers. What was pointed at, boxes with names, stands out.
Image draw_answer(const Image& image, const ChatResult& answer,
                  const std::map<int, Mask>& masks = {},
                  const std::vector<std::pair<Box, std::string>>& pointed_at = {}, int times = 1);

/// The image, `times` as large, with every region's box, number and score; boxes given by the user
/// stand out.
Image draw_regions(const Image& image, const std::vector<Region>& regions, int times = 1);

/// The image, made smaller where a side is longer than `most` pixels.
Image thumbnail(const Image& image, int most);

}  // namespace groma
