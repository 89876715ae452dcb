#pragma once

#include <memory>
#include <optional>
#include <string>

namespace groma::cli {

/// Reads what a user types, with editing and a history that lasts: $XDG_STATE_HOME/groma/history.
///
/// Where standard input is no terminal it just reads lines and shows no prompt.
class LineReader {
 public:
  LineReader();
  ~LineReader();

  /// The next line without its end; nothing at the end of input.
  ///
  /// Ctrl-C drops the line; a second one in a row throws Interrupted.
  std::optional<std::string> next(const std::string& prompt);

 private:
  struct Editor;
  std::unique_ptr<Editor> editor_;  ///< none where standard input is no terminal
};

}  // namespace groma::cli
