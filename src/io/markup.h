#pragma once

#include <string>
#include <string_view>

namespace groma::io {

/// Text as HTML and XML hold it, between tags or in quotes: markup characters as entities, control
/// characters left out, bytes that are no UTF-8 replaced.
std::string escape_markup(std::string_view text);

/// The bytes in 64 letters, filled up with "=".
///
/// source    RFC 4648, section 4
std::string base64(std::string_view bytes);

/// The bytes of a file as an address that a page can hold ("data:image/png;base64,...").
std::string data_address(std::string_view picture);

}  // namespace groma::io
