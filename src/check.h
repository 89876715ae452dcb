#pragma once

#include <sstream>
#include <string>

#include "groma/error.h"

namespace groma {

/// Throws an Error whose message is all `parts` written one after the other, unless `condition`.
///
/// The only place that throws Error. Message: "<doing what>: <found, expected>; <what to do>".
template <typename... Parts>
void require(bool condition, const Parts&... parts) {
  if (condition) [[likely]]
    return;
  std::ostringstream message;
  (message << ... << parts);
  throw Error(message.str());
}

}  // namespace groma
