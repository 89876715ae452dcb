#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "groma/groma.h"

namespace groma {

/// The image at its own resolution with one colour per phrase: box, label, legible at any size.
///
/// Masks, by region, are laid half-transparent over their pixels. Phrases without words are
/// labelled with their region numbers. What was pointed at, boxes with names, stands out.
Image draw_answer(const Image& image, const ChatResult& answer,
                  const std::map<int, Mask>& masks = {},
                  const std::vector<std::pair<Box, std::string>>& pointed_at = {});

/// The image with every region's box, number and score; boxes given by the user stand out.
Image draw_regions(const Image& image, const std::vector<Region>& regions);

/// The image, made smaller where a side is longer than `most` pixels.
Image thumbnail(const Image& image, int most);

}  // namespace groma
