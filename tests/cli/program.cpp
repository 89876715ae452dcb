#include "cli/program.h"

#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <thread>

#include "folders.h"

namespace groma::testing {
namespace {

[[noreturn]] void become_groma(const std::vector<std::string>& arguments) {
  std::vector<char*> argv = {const_cast<char*>(GROMA_PROGRAM)};
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  execv(GROMA_PROGRAM, argv.data());
  _exit(127);
}

int exit_code(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : -1; }

std::string contents(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// Runs `become`, which never returns, in a process of its own.
template <typename Become>
Outcome run(const std::string& input, const Become& become) {
  const TemporaryFolder folder;
  const auto in = (folder.path() / "in").string();
  const auto out = (folder.path() / "out").string();
  const auto err = (folder.path() / "err").string();
  std::ofstream(in, std::ios::binary) << input;
  const auto process = fork();
  if (process == 0) {
    const bool redirected = std::freopen(in.c_str(), "r", stdin) &&
                            std::freopen(out.c_str(), "w", stdout) &&
                            std::freopen(err.c_str(), "w", stderr);
    if (!redirected) _exit(126);
    become();
  }
  int status = 0;
  waitpid(process, &status, 0);
  return {exit_code(status), contents(out), contents(err)};
}

}  // namespace

Outcome run_groma(const std::vector<std::string>& arguments, const std::string& input) {
  return run(input, [&] { become_groma(arguments); });
}

Outcome run_program(const std::vector<std::string>& arguments) {
  return run("", [&] {
    std::vector<char*> argv;
    for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    execvp(argv[0], argv.data());
    _exit(127);
  });
}

Background::Background(const std::vector<std::string>& arguments) : process_(fork()) {
  if (process_ != 0) return;
  const bool silent =
      std::freopen("/dev/null", "w", stdout) && std::freopen("/dev/null", "w", stderr);
  if (!silent) _exit(126);
  become_groma(arguments);
}

Background::~Background() { kill(); }

bool Background::runs() {
  if (process_ > 0 && waitpid(process_, nullptr, WNOHANG) == process_) process_ = -1;
  return process_ > 0;
}

void Background::kill() {
  if (process_ <= 0) return;
  ::kill(process_, SIGKILL);
  waitpid(process_, nullptr, 0);
  process_ = -1;
}

Terminal::Terminal(const std::vector<std::string>& arguments) {
  process_ = forkpty(&master_, nullptr, nullptr, nullptr);
  if (process_ == 0) {
    setenv("TERM", "xterm", 1);
    become_groma(arguments);
  }
}

Terminal::~Terminal() {
  if (process_ > 0) {
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
  }
  close(master_);
}

bool Terminal::read_more(int milliseconds) {
  pollfd waiting = {master_, POLLIN, 0};
  if (poll(&waiting, 1, milliseconds) <= 0) return false;
  char bytes[4096];
  const auto count = read(master_, bytes, sizeof(bytes));
  if (count <= 0) return false;  // the program closed its side
  shown_.append(bytes, static_cast<std::size_t>(count));
  return true;
}

bool Terminal::shows(const std::string& text, int seconds) {
  for (int tenths = 0; tenths < 10 * seconds;) {
    const auto at = shown_.find(text, seen_);
    if (at != std::string::npos) {
      seen_ = at + text.size();
      return true;
    }
    if (!read_more(100)) ++tenths;
  }
  return false;
}

void Terminal::type(const std::string& keys) {
  if (write(master_, keys.data(), keys.size()) < 0) std::perror("type");
}

bool Terminal::reads_keys(int seconds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  termios settings;
  while (std::chrono::steady_clock::now() < deadline) {
    if (tcgetattr(master_, &settings) == 0 && (settings.c_lflag & ICANON) == 0) return true;
    read_more(10);
  }
  return false;
}

Outcome Terminal::finish(int seconds) {
  constexpr auto kPause = std::chrono::milliseconds(10);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  int status = 0;
  while (std::chrono::steady_clock::now() < deadline) {
    while (read_more(10)) continue;
    if (waitpid(process_, &status, WNOHANG) == process_) {
      process_ = -1;
      return {exit_code(status), shown_, ""};
    }
    std::this_thread::sleep_for(kPause);  // the terminal closes a little before the program ends
  }
  return {-1, shown_, ""};
}

}  // namespace groma::testing
