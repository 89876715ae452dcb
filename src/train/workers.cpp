#include "train/workers.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>

namespace groma::train {

Workers::Workers(int count) : failures_(count) {
  for (int i = 0; i < count; ++i) threads_.emplace_back([this, i] { work(i); });
}

Workers::~Workers() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  start_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void Workers::run(const std::function<void(int)>& job) {
  std::unique_lock lock(mutex_);
  job_ = &job;
  busy_ = count();
  ++round_;
  start_.notify_all();
  end_.wait(lock, [this] { return busy_ == 0; });
  for (auto& failure : failures_) {
    if (failure) std::rethrow_exception(std::exchange(failure, nullptr));
  }
}

void Workers::work(int number) {
  at::set_num_threads(1);
  at::globalContext().setFlushDenormal(true);
  uint64_t seen = 0;
  for (;;) {
    const std::function<void(int)>* job = nullptr;
    {
      std::unique_lock lock(mutex_);
      start_.wait(lock, [&] { return stopping_ || round_ != seen; });
      if (stopping_) return;
      seen = round_;
      job = job_;
    }
    try {
      (*job)(number);
    } catch (...) {
      failures_[number] = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    if (--busy_ == 0) end_.notify_all();
  }
}

}  // namespace groma::train
