#pragma once

#include <string>
#include <vector>

namespace groma::testing {

/// What a run of the program left behind.
struct Outcome {
  int code = -1;    ///< exit code; -1 when a signal ended it
  std::string out;  ///< standard output; of a terminal: all that it showed
  std::string err;
};

/// Runs the groma program to its end, `input` being its standard input.
Outcome run_groma(const std::vector<std::string>& arguments, const std::string& input = "");

/// The same of any program, found in PATH.
Outcome run_program(const std::vector<std::string>& arguments);

/// Starts the groma program and leaves it to itself; it shows nothing.
class Background {
 public:
  explicit Background(const std::vector<std::string>& arguments);
  ~Background();  ///< kills the program if it still runs
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  bool runs();
  /// SIGKILL: the program cannot do anything about it.
  void kill();

 private:
  int process_ = -1;
};

/// The program on a terminal of its own, as a user would see it.
class Terminal {
 public:
  explicit Terminal(const std::vector<std::string>& arguments);
  ~Terminal();  ///< ends the program if it still runs
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  /// Waits until what was shown since the last success holds `text`; false after `seconds`.
  bool shows(const std::string& text, int seconds = 60);
  /// Waits until the program takes keys one by one: libedit shows its prompt a moment before, and
  /// a Ctrl-D typed in between belongs to the terminal's own line editing.
  bool reads_keys(int seconds = 60);
  void type(const std::string& keys);
  /// Waits for the end; `out` is everything shown.
  Outcome finish(int seconds = 60);

 private:
  bool read_more(int milliseconds);

  int master_ = -1;
  int process_ = -1;
  std::string shown_;
  std::size_t seen_ = 0;
};

}  // namespace groma::testing
