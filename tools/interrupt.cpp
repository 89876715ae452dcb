#include "interrupt.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace groma::cli {
namespace {

enum Mode : int { kEnd, kNoteOne, kNoteAll };

volatile std::sig_atomic_t mode = kEnd;
volatile std::sig_atomic_t count = 0;
int wake[2] = {-1, -1};  // a pipe: any thread may get the signal, whichever waits must learn of it

extern "C" void on_interrupt(int) {
  count = count + 1;
  const int error = errno;
  [[maybe_unused]] const auto written = write(wake[1], "", 1);  // full: there is news in it already
  errno = error;
  if (mode == kNoteAll || (mode == kNoteOne && count == 1)) return;
  _exit(130);
}

}  // namespace

void watch_interrupts() {
  if (pipe2(wake, O_NONBLOCK | O_CLOEXEC) != 0) return;  // Ctrl-C then ends the program as usual
  struct sigaction action = {};
  action.sa_handler = on_interrupt;  // without SA_RESTART: a waiting read returns
  sigaction(SIGINT, &action, nullptr);
}

int interrupts() { return count; }
int interrupt_signal() { return wake[0]; }
void forget_interrupts() { count = 0; }

StoppableAnswer::StoppableAnswer() { mode = kNoteOne; }
StoppableAnswer::~StoppableAnswer() { mode = kEnd; }
InterruptibleInput::InterruptibleInput() { mode = kNoteAll; }
InterruptibleInput::~InterruptibleInput() { mode = kEnd; }

}  // namespace groma::cli
