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
    work_ = &work;
    count_.store(count, std::memory_order_relaxed);
    helpers_.store(helpers, std::memory_order_relaxed);
    done_.store(0, std::memory_order_relaxed);
    const auto loop = loop_.load(std::memory_order_relaxed) + 1;
    ticket_.store(static_cast<uint64_t>(loop) << 32, std::memory_order_release);
    loop_.store(loop, std::memory_order_release);
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
    // A ticket is the loop's number and the next chunk in one word: it can only be taken from the
    // loop it was read from, and that loop does not end before the chunk is done.
    auto ticket = ticket_.load(std::memory_order_acquire);
    while (static_cast<int64_t>(ticket & 0xffffffffu) < count_.load(std::memory_order_relaxed)) {
      if (!ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel)) continue;
      (*work_)(static_cast<int64_t>(ticket & 0xffffffffu));
      const auto total = static_cast<uint32_t>(count_.load(std::memory_order_relaxed));
      if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == total) done_.notify_one();
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
  std::atomic<int64_t> count_ = 0;
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
  pool.run(count, threads, work);
}

}  // namespace groma::ops
