#pragma once

#include <chrono>
#include <string>

namespace groma::cli {

/// Whether standard error is a terminal that may get bars and colours (no NO_COLOR, no TERM=dumb).
bool stderr_is_terminal();

/// `text` in one of a few colours, chosen by `index`; unchanged where there is no terminal.
std::string coloured(const std::string& text, std::size_t index);

/// A bar on standard error; appears only on a terminal, only when the work takes long.
class ProgressBar {
 public:
  explicit ProgressBar(std::string title);
  ~ProgressBar();  ///< wipes the bar
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// done in [0, 1]; `note` stands behind the bar.
  void show(double done, const std::string& note = "");

 private:
  using Clock = std::chrono::steady_clock;
  std::string title_;
  Clock::time_point begun_ = Clock::now();
  Clock::time_point shown_at_{};
  int shown_percent_ = -1;
};

}  // namespace groma::cli
