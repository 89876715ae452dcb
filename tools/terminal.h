#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "groma/image.h"

namespace groma::cli {

/// Whether standard error is a terminal that may get bars and colours (no NO_COLOR, no TERM=dumb).
bool stderr_is_terminal();

/// `text` in one of a few colours, chosen by `index`; unchanged where there is no terminal.
std::string coloured(const std::string& text, std::size_t index);

/// Ways in which terminals take pictures.
enum class PictureProtocol {
  kKitty,  ///< kitty, Ghostty, Konsole
  kIterm,  ///< iTerm2, WezTerm, Konsole
};

/// The one that the terminal on standard error is known to understand.
std::optional<PictureProtocol> known_protocol();

/// Shows a picture on standard error, made small enough to travel.
///
/// source    kitty's graphics protocol; iTerm2's inline images
void show_picture(const Image& image, PictureProtocol protocol);

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
