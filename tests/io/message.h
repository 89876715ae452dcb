#pragma once

#include <gtest/gtest.h>

#include <string>

#include "groma/error.h"

namespace groma::testing {

/// What the Error says that `action` throws; a failed test and "" where it throws none.
template <typename Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "no Error";
  return "";
}

/// Whether `text` holds `part`; on failure the whole text is shown.
inline ::testing::AssertionResult holds(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "'" << part << "' is not in: " << text;
}

}  // namespace groma::testing
