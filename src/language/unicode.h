#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace groma {

inline constexpr char32_t kReplacementCharacter = 0xFFFD;

/// Reads the character that `text` begins with.
///
/// code      receives it, U+FFFD where the bytes are not UTF-8; may be null
/// returns   its length in bytes, 0 when the bytes are not UTF-8 (surrogates, overlong forms) or
///           there are none
std::size_t first_character(std::string_view text, char32_t* code = nullptr);

/// Length in bytes of a character whose UTF-8 begins with `lead`; 1 when none does.
std::size_t character_length(unsigned char lead);

bool valid_utf8(std::string_view text);

/// The same text with U+FFFD in place of every byte that is not part of a character.
std::string replace_invalid_utf8(std::string_view text);

/// White space as Python's str.strip and str.isspace see it.
bool is_space(char32_t code);

/// UTF-8 text without white space in front, at the end, or both.
std::string_view strip_left(std::string_view text);
std::string_view strip_right(std::string_view text);
inline std::string_view strip(std::string_view text) { return strip_left(strip_right(text)); }

}  // namespace groma
