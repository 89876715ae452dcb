#pragma once

#include <array>
#include <string>
#include <string_view>

namespace groma::train {

inline constexpr std::array<std::string_view, 8> kShapeKinds{
    "circle", "square", "triangle", "star", "heart", "cross", "moon", "arrow"};
inline constexpr std::array<std::string_view, 8> kColors{"red",  "orange", "yellow", "green",
                                                         "cyan", "blue",   "purple", "pink"};
inline constexpr std::array<std::string_view, 3> kTextures{"solid", "outlined", "striped"};
inline constexpr std::array<std::string_view, 3> kSizes{"small", "medium", "large"};
inline constexpr std::array<std::string_view, 13> kNumbers{
    "zero",  "one",   "two",  "three", "four",   "five",  "six",
    "seven", "eight", "nine", "ten",   "eleven", "twelve"};
inline constexpr std::array<std::string_view, 4> kOrdinals{"first", "second", "third", "fourth"};

/// "stars", "crosses", "sheep"; of a phrase its last word.
std::string plural(const std::string& words);

/// ASCII letters in lower case, all else as it is.
std::string lower(std::string text);

/// "a" or "an", by the sound that `words` begin with.
std::string article(const std::string& words);

/// "a small star", "an orange".
std::string with_article(const std::string& words);

}  // namespace groma::train
