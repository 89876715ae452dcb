#pragma once

namespace groma::cli {

/// Thrown to leave the program with exit code 130.
struct Interrupted {};

/// From now on Ctrl-C ends the program with exit code 130, unless a guard below says otherwise.
void watch_interrupts();

/// How often Ctrl-C came since the last `forget_interrupts`.
int interrupts();
void forget_interrupts();

/// A descriptor that becomes readable when Ctrl-C is pressed, whichever thread is interrupted.
int interrupt_signal();

/// While it lives the first Ctrl-C is only noted, so that an answer can stop at its next piece.
class StoppableAnswer {
 public:
  StoppableAnswer();
  ~StoppableAnswer();
  StoppableAnswer(const StoppableAnswer&) = delete;
  StoppableAnswer& operator=(const StoppableAnswer&) = delete;
};

/// While it lives every Ctrl-C is only noted: the terminal is in raw mode and must be put back.
class InterruptibleInput {
 public:
  InterruptibleInput();
  ~InterruptibleInput();
  InterruptibleInput(const InterruptibleInput&) = delete;
  InterruptibleInput& operator=(const InterruptibleInput&) = delete;
};

}  // namespace groma::cli
