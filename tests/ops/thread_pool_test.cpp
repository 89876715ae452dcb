#include "ops/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace groma::ops {
namespace {

TEST(ThreadPool, EveryChunkIsDoneOnce) {
  for (const int threads : {1, 2, 7}) {
    for (const int64_t count : {0, 1, 2, 5, 1000}) {
      std::vector<std::atomic<int>> done(count);
      for_each_chunk(count, threads, [&](int64_t i) { ++done[i]; });
      for (const auto& times : done) EXPECT_EQ(times, 1);
    }
  }
}

TEST(ThreadPool, ManyShortLoopsFollowEachOther) {
  int64_t expected = 0;
  std::atomic<int64_t> sum = 0;
  for (int64_t loop = 0; loop < 40000; ++loop) {
    const int64_t count = loop % 41;
    for_each_chunk(count, 4, [&](int64_t i) { sum += loop + i; });
    expected += loop * count + count * (count - 1) / 2;
    ASSERT_EQ(sum, expected) << loop;
  }
}

TEST(ThreadPool, LoopsOfSeveralCallersAreKeptApart) {
  std::atomic<int64_t> wrong = 0;
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&] {
      for (int loop = 0; loop < 300; ++loop) {
        std::atomic<int64_t> sum = 0;
        for_each_chunk(20, 3, [&](int64_t i) { sum += i; });
        if (sum != 190) ++wrong;
      }
    });
  }
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace groma::ops
