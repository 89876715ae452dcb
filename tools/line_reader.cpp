#include "line_reader.h"

#include <histedit.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <clocale>
#include <cstdlib>
#include <cstring>
#include <cwchar>
#include <filesystem>
#include <iostream>

#include "interrupt.h"

namespace groma::cli {
namespace {

/// Where the history is kept, its folder made; empty when there is no place.
std::string history_file() {
  const char* const state = std::getenv("XDG_STATE_HOME");
  const char* const home = std::getenv("HOME");
  std::filesystem::path folder;
  if (state && *state == '/') {
    folder = state;
  } else if (home && *home) {
    folder = std::filesystem::path(home) / ".local" / "state";
  } else {
    return "";
  }
  std::error_code error;
  std::filesystem::create_directories(folder / "groma", error);
  return error ? "" : folder / "groma" / "history";
}

std::string without_line_end(std::string line) {
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
  return line;
}

}  // namespace

struct LineReader::Editor {
  EditLine* line = nullptr;
  History* history = nullptr;
  std::string file;
  std::string prompt;
  int seen_interrupts = 0;

  Editor() {
    constexpr int kKept = 1000;
    std::setlocale(LC_CTYPE, "");
    HistEvent event;
    history = history_init();
    ::history(history, &event, H_SETSIZE, kKept);
    ::history(history, &event, H_SETUNIQUE, 1);
    file = history_file();
    if (!file.empty()) ::history(history, &event, H_LOAD, file.c_str());
    line = el_init("groma", stdin, stderr, stderr);  // answers alone go to stdout
    el_set(line, EL_CLIENTDATA, this);
    el_set(
        line, EL_PROMPT, +[](EditLine* editing) { return of(editing).prompt.data(); });
    el_set(line, EL_EDITOR, "emacs");
    el_set(line, EL_HIST, ::history, history);
    el_set(line, EL_GETCFN, read_character);
    el_source(line, nullptr);  // the user's ~/.editrc
  }

  ~Editor() {
    el_end(line);
    history_end(history);
  }

  static Editor& of(EditLine* editing) {
    Editor* editor = nullptr;
    el_get(editing, EL_CLIENTDATA, &editor);
    return *editor;
  }

  /// Reads one character as libedit's own reader does, but gives up on Ctrl-C instead of retrying.
  static int read_character(EditLine* editing, wchar_t* character) {
    char bytes[MB_LEN_MAX];
    for (std::size_t count = 0; count < sizeof(bytes);) {
      if (!of(editing).wait_for_key()) return -1;
      const auto got = read(STDIN_FILENO, bytes + count, 1);
      if (got <= 0) return static_cast<int>(got);
      ++count;
      std::mbstate_t state = {};
      const auto used = std::mbrtowc(character, bytes, count, &state);
      if (used == static_cast<std::size_t>(-2)) continue;  // the character has more bytes
      if (used != static_cast<std::size_t>(-1)) return 1;
      count = 0;  // not a character in this locale
    }
    return -1;
  }

  /// Waits until there is a key to read; false when Ctrl-C came, however early it was pressed.
  bool wait_for_key() const {
    while (interrupts() == seen_interrupts) {
      std::array<pollfd, 2> either{pollfd{STDIN_FILENO, POLLIN, 0},
                                   {interrupt_signal(), POLLIN, 0}};
      const int polled = poll(either.data(), either.size(), -1);
      if (polled < 0 && errno == EINTR) continue;
      if (polled > 0 && either[1].revents != 0) {
        char noted;
        while (read(interrupt_signal(), &noted, 1) > 0) continue;
      } else {
        return true;  // a key, or the read tells what is wrong
      }
    }
    return false;
  }

  void remember(const std::string& text) {
    HistEvent event;
    ::history(history, &event, H_ENTER, text.c_str());
    if (!file.empty()) ::history(history, &event, H_SAVE, file.c_str());
  }
};

LineReader::LineReader() {
  if (isatty(STDIN_FILENO)) editor_ = std::make_unique<Editor>();
}
LineReader::~LineReader() = default;

std::optional<std::string> LineReader::next(const std::string& prompt) {
  forget_interrupts();
  if (!editor_) {
    std::string line;
    if (!std::getline(std::cin, line)) return std::nullopt;
    return without_line_end(line);
  }
  const InterruptibleInput guard;
  editor_->prompt = prompt;
  int& seen = editor_->seen_interrupts;
  for (seen = 0;;) {
    int count = 0;
    const char* const line = el_gets(editor_->line, &count);
    if (line && count > 0 && interrupts() == seen) {
      const auto text = without_line_end(line);
      if (!text.empty()) editor_->remember(text);
      return text;
    }
    if (interrupts() == seen) return std::nullopt;  // Ctrl-D
    seen = interrupts();
    if (seen > 1) throw Interrupted();
    std::cerr << "\n(Ctrl-C again or /quit leaves)" << std::endl;
    el_reset(editor_->line);
  }
}

}  // namespace groma::cli
