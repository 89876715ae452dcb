#include "terminal.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <iostream>
#include <string_view>

namespace groma::cli {

bool stderr_is_terminal() {
  static const bool is = [] {
    const char* const no_color = std::getenv("NO_COLOR");
    const char* const term = std::getenv("TERM");
    return isatty(STDERR_FILENO) && !(no_color && *no_color) &&
           !(term && std::string_view(term) == "dumb");
  }();
  return is;
}

std::string coloured(const std::string& text, std::size_t index) {
  constexpr std::array kColours = {"32", "33", "36", "35", "34", "31"};
  if (!stderr_is_terminal()) return text;
  return std::string("\033[") + kColours[index % kColours.size()] + "m" + text + "\033[0m";
}

ProgressBar::ProgressBar(std::string title) : title_(std::move(title)) {}

ProgressBar::~ProgressBar() {
  if (shown_percent_ >= 0) std::cerr << "\r\033[K" << std::flush;
}

void ProgressBar::show(double done, const std::string& note) {
  constexpr auto kPatience = std::chrono::milliseconds(300);
  constexpr auto kPause = std::chrono::milliseconds(200);  // between two states of a note
  constexpr int kWidth = 30;
  if (!stderr_is_terminal() || Clock::now() - begun_ < kPatience) return;
  const int percent = static_cast<int>(100 * std::clamp(done, 0.0, 1.0));
  const bool old = !note.empty() && Clock::now() - shown_at_ > kPause;
  if (percent == shown_percent_ && !old) return;
  shown_percent_ = percent;
  shown_at_ = Clock::now();
  const auto filled = static_cast<std::size_t>(kWidth * percent / 100);
  std::cerr << '\r' << title_ << " [" << std::string(filled, '#')
            << std::string(kWidth - filled, ' ') << "] " << percent << " %  " << note << "\033[K"
            << std::flush;
}

}  // namespace groma::cli
