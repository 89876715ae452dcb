#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace groma::train {

/// Threads that run the same job at the same time, each with its own number.
///
/// Inside a job LibTorch computes on that thread alone.
class Workers {
 public:
  explicit Workers(int count);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  int count() const { return static_cast<int>(threads_.size()); }

  /// Runs job(0) ... job(count - 1) and waits for all; rethrows the first exception by number.
  void run(const std::function<void(int)>& job);

 private:
  void work(int number);

  std::vector<std::thread> threads_;
  std::vector<std::exception_ptr> failures_;
  std::mutex mutex_;
  std::condition_variable start_, end_;
  const std::function<void(int)>* job_ = nullptr;
  uint64_t round_ = 0;
  int busy_ = 0;
  bool stopping_ = false;
};

}  // namespace groma::train
