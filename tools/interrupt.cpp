#include "interrupt.h"

#include <unistd.h>

#include <csignal>

namespace groma::cli {
namespace {

enum Mode : int { kEnd, kNoteOne, kNoteAll };

volatile std::sig_atomic_t mode = kEnd;
volatile std::sig_atomic_t count = 0;

extern "C" void on_interrupt(int) {
  count = count + 1;
  if (mode == kNoteAll || (mode == kNoteOne && count == 1)) return;
  _exit(130);
}

}  // namespace

void watch_interrupts() {
  struct sigaction action = {};
  action.sa_handler = on_interrupt;  // without SA_RESTART: a waiting read returns
  sigaction(SIGINT, &action, nullptr);
}

int interrupts() { return count; }
void forget_interrupts() { count = 0; }

StoppableAnswer::StoppableAnswer() { mode = kNoteOne; }
StoppableAnswer::~StoppableAnswer() { mode = kEnd; }
InterruptibleInput::InterruptibleInput() { mode = kNoteAll; }
InterruptibleInput::~InterruptibleInput() { mode = kEnd; }

}  // namespace groma::cli
