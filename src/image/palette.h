#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "groma/groma.h"

namespace groma {

using Rgb = std::array<std::uint8_t, 3>;

/// Told apart with every common kind of colour blindness: Okabe and Ito, "Color Universal Design",
/// 2008, without black, then two that differ from those in lightness.
inline constexpr std::array<Rgb, 9> kPalette = {{{230, 159, 0},
                                                 {86, 180, 233},
                                                 {213, 94, 0},
                                                 {0, 158, 115},
                                                 {240, 228, 66},
                                                 {204, 121, 167},
                                                 {0, 114, 178},
                                                 {235, 235, 235},
                                                 {136, 34, 85}}};

/// The colour of every phrase that has regions, the others' is without meaning. Words said twice
/// are one phrase here.
std::vector<Rgb> phrase_colors(const std::vector<Phrase>& phrases);

/// What stands beside the box of a region that a phrase names: its words, else the number.
std::string region_label(const Phrase& phrase, const NamedRegion& named);

/// Of boxes that a user gave or pointed at; no phrase has it.
inline constexpr Rgb kGivenColor = {255, 0, 160};

}  // namespace groma
