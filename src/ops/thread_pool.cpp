#include "ops/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace groma::ops {
namespace {

/// How long a thread looks out for work before it sleeps: longer than what lies between two loops
/// of a decoder layer, far shorter than a time slice.
constexpr auto kPatience = std::chrono::microseconds(50);

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

/// Looks at `ready` until it holds or patience ends; returns what it was last.
template <typename Ready>
bool look_out(const Ready& ready) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  do {
    for (int i = 0; i < 32; ++i) {
      if (ready()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return ready();
}

/// The loop's number, how many chunks it has and which is next, in one word: a chunk can only be
/// taken from the loop that the word was read from, and that loop does not end before it is done.
struct Ticket {
  static constexpr int kBits = 20;  // of the next chunk and of the count; the rest is the number
  static constexpr uint64_t kMask = (uint64_t{1} << kBits) - 1;

  static uint64_t first_of(uint32_t loop, int64_t count) {
    return static_cast<uint64_t>(loop) << (2 * kBits) | static_cast<uint64_t>(count) << kBits;
  }
  static uint32_t count(uint64_t ticket) { return static_cast<uint32_t>(ticket >> kBits & kMask); }
  static uint32_t next(uint64_t ticket) { return static_cast<uint32_t>(ticket & kMask); }
};

constexpr int64_t kMostChunks = Ticket::kMask;

class Pool {
 public:
  void run(int64_t count, int threads, const std::function<void(int64_t)>& work) {
    const std::lock_guard<std::mutex> one_loop_at_a_time(mutex_);
    const auto helpers = static_cast<int>(std::min<int64_t>(threads - 1, count - 1));
    while (started_ < helpers) {
      std::thread([this, index = started_] { help(index); }).detach();
      ++started_;
    }
    // All of this is in place before the new ticket makes it the loop that chunks are taken from.
    // No earlier loop's chunk is still on its way, or that loop would not have ended.
    work_ = &work;
    helpers_.store(helpers, std::memory_order_relaxed);
    done_.store(0, std::memory_order_relaxed);
    const auto loop = loop_.load(std::memory_order_relaxed) + 1;
    ticket_.store(Ticket::first_of(loop, count), std::memory_order_release);
    loop_.store(loop, std::memory_order_seq_cst);
    loop_.notify_all();
    take_chunks();
    const auto total = static_cast<uint32_t>(count);
    if (look_out([&] { return done_.load(std::memory_order_acquire) == total; })) return;
    for (auto done = done_.load(std::memory_order_acquire); done != total;
         done = done_.load(std::memory_order_acquire)) {
      done_.wait(done, std::memory_order_acquire);
    }
  }

 private:
  /// Does chunks of the present loop until none is left.
  void take_chunks() {
    auto ticket = ticket_.load(std::memory_order_acquire);
    while (Ticket::next(ticket) < Ticket::count(ticket)) {
      if (!ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel)) continue;
      (*work_)(Ticket::next(ticket));
      if (done_.fetch_add(1) + 1 == Ticket::count(ticket)) done_.notify_one();
      ticket = ticket_.load(std::memory_order_acquire);
    }
  }

  /// The life of a thread.
  [[noreturn]] void help(int index) {
    uint32_t seen = 0;
    while (true) {
      if (!look_out([&] { return loop_.load(std::memory_order_acquire) != seen; })) {
        loop_.wait(seen, std::memory_order_acquire);
      }
      seen = loop_.load(std::memory_order_acquire);
      if (index < helpers_.load(std::memory_order_relaxed)) take_chunks();
    }
  }

  std::mutex mutex_;
  int started_ = 0;
  const std::function<void(int64_t)>* work_ = nullptr;
  std::atomic<int> helpers_ = 0;
  std::atomic<uint64_t> ticket_ = 0;
  alignas(64) std::atomic<uint32_t> loop_ = 0;
  alignas(64) std::atomic<uint32_t> done_ = 0;
};

}  // namespace

void for_each_chunk(int64_t count, int threads, const std::function<void(int64_t)>& work) {
  if (threads <= 1 || count <= 1) {
    for (int64_t i = 0; i < count; ++i) work(i);
    return;
  }
  // Never destroyed: its threads may outlive static objects.
  static auto& pool = *new Pool;
  for (int64_t first = 0; first < count; first += kMostChunks) {
    pool.run(
        std::min(kMostChunks, count - first), threads,
        first == 0 ? work : [&](int64_t i) { work(first + i); });
  }
}

}  // namespace groma::ops
