#include "terminal.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <iostream>
#include <string_view>

#include "image/codecs.h"
#include "image/draw.h"
#include "io/markup.h"

namespace groma::cli {
namespace {

std::string_view environment(const char* name) {
  const char* const value = std::getenv(name);
  return value ? value : "";
}

}  // namespace

bool stderr_is_terminal() {
  static const bool is = [] {
    return isatty(STDERR_FILENO) && environment("NO_COLOR").empty() &&
           environment("TERM") != "dumb";
  }();
  return is;
}

std::string coloured(const std::string& text, std::size_t index) {
  constexpr std::array kColours = {"32", "33", "36", "35", "34", "31"};
  if (!stderr_is_terminal()) return text;
  return std::string("\033[") + kColours[index % kColours.size()] + "m" + text + "\033[0m";
}

std::optional<PictureProtocol> known_protocol() {
  if (!stderr_is_terminal()) return std::nullopt;
  const auto term = environment("TERM"), program = environment("TERM_PROGRAM");
  if (term == "xterm-kitty" || term == "xterm-ghostty" || program == "ghostty") {
    return PictureProtocol::kKitty;
  }
  if (program == "iTerm.app" || program == "WezTerm") return PictureProtocol::kIterm;
  return std::nullopt;
}

void show_picture(const Image& image, PictureProtocol protocol) {
  constexpr int kMostSide = 800;  // pixels
  const auto picture = encode_picture(thumbnail(image, kMostSide), "picture.png");
  const auto text = io::base64(picture);
  if (protocol == PictureProtocol::kIterm) {
    std::cerr << "\033]1337;File=inline=1;size=" << picture.size() << ':' << text << "\a\n";
    return;
  }
  constexpr std::size_t kChunk = 4096;
  for (std::size_t at = 0; at < text.size(); at += kChunk) {
    std::cerr << "\033_G" << (at == 0 ? "f=100,a=T," : "") << "m=" << (at + kChunk < text.size())
              << ';' << text.substr(at, kChunk) << "\033\\";
  }
  std::cerr << '\n';
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
