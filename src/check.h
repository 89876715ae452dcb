#pragma once

#include <new>
#include <sstream>
#include <string>
#include <string_view>

#include "groma/error.h"

namespace groma {

/// The same text with every control character as \xNN, line feeds only where it must be `one_line`,
/// what is beyond ASCII only where it must be `ascii`: messages quote files that may hold anything,
/// and a terminal obeys what it is sent.
inline std::string printable(std::string_view text, bool one_line = false, bool ascii = false) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte >= 0x20 && byte != 0x7f && !(ascii && byte > 0x7f)) || (c == '\n' && !one_line)) {
      out += c;
    } else {
      out += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return out;
}

/// Throws an Error whose message is all `parts` written one after the other, unless `condition`.
///
/// The only place that throws Error. Message: "<doing what>: <found, expected>; <what to do>".
template <typename... Parts>
void require(bool condition, const Parts&... parts) {
  if (condition) [[likely]]
    return;
  std::ostringstream message;
  (message << ... << parts);
  if (!message) throw std::bad_alloc();  // streams keep it to themselves
  throw Error(printable(message.str()));
}

}  // namespace groma
