#pragma once

#include <stdexcept>
#include <string>

namespace groma {

/// A mistake that the caller can mend: a bad file, option, box or prompt.
///
/// The message says what was being done, what was found, what was expected and what to do.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message) : std::runtime_error(message) {}
};

}  // namespace groma
