#pragma once

#include <string>
#include <string_view>

namespace groma::eval {

/// What remains of an answer as a caption: line feeds deleted, everything from a "<" to the next
/// ">" deleted, white space collapsed, quotes and white space at both ends dropped.
///
/// source    the original's model_vg.py
std::string clean_caption(std::string_view answer);

}  // namespace groma::eval
