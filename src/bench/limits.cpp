#include "bench/limits.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <limits>
#include <string>

#include "ops/large_pages.h"
#include "ops/quantized_linear/quantized_linear.h"
#include "ops/thread_pool.h"

namespace groma::bench {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double own_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double busy_seconds() {
  std::ifstream in("/proc/stat");
  std::string name;
  double user = 0, nice = 0, system = 0;
  if (!(in >> name >> user >> nice >> system)) return -1;
  return (user + nice + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double product_rate(at::ScalarType dtype) {
  constexpr int64_t kRows = 512, kWidth = 4096;
  const auto x = at::ones({kRows, kWidth}, dtype), weight = at::ones({kWidth, kWidth}, dtype);
  return 2.0 * kRows * kWidth * kWidth / best_seconds(6, [&] { at::linear(x, weight); });
}

double int8_rate() {
  constexpr int64_t kRows = 512, kWidth = 4096;
  const auto x = at::ones({kRows, kWidth}, at::kBFloat16);
  const auto weight = ops::pack(at::ones({kWidth, kWidth}), ops::WeightType::kInt8);
  return 2.0 * kRows * kWidth * kWidth /
         best_seconds(6, [&] { ops::quantized_linear(x, {&weight}); });
}

double read_rate() {
  constexpr int64_t kChunk = int64_t{1} << 17, kChunks = 1024;  // numbers; 1 GiB, beyond any cache
  // Written once: pages that never were are all the same one.
  const auto memory = ops::zeros_in_large_pages(kChunks, kChunk * int64_t{8}).fill_(1);
  const auto* data = static_cast<const uint64_t*>(memory.const_data_ptr());
  std::atomic<uint64_t> sink = 0;
  const auto seconds = best_seconds(4, [&] {
    ops::for_each_chunk(kChunks, at::get_num_threads(), [&](int64_t chunk) {
      constexpr int kLine = 8;  // numbers of a cache line
      uint64_t sums[4] = {};    // they wrap
      const auto* from = data + chunk * kChunk;
      for (int64_t i = 0; i < kChunk; i += 4 * kLine) {
        for (int s = 0; s < 4; ++s) sums[s] += from[i + s * kLine];
      }
      sink += sums[0] + sums[1] + sums[2] + sums[3];
    });
  });
  return static_cast<double>(memory.nbytes()) / seconds;
}

}  // namespace

MachineLimits measure_limits() {
  return {product_rate(at::kFloat), product_rate(at::kBFloat16), int8_rate(), read_rate()};
}

double best_seconds(int repeats, const std::function<void()>& work) {
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < repeats; ++i) {
    const auto start = now();
    work();
    best = std::min(best, now() - start);
  }
  return best;
}

LoadMeter::LoadMeter()
    : busy_seconds_(busy_seconds()), own_seconds_(own_seconds()), wall_seconds_(now()) {}

double LoadMeter::others() const {
  if (busy_seconds_ < 0) return 0;
  const auto others = (busy_seconds() - busy_seconds_) - (own_seconds() - own_seconds_);
  return std::max(0.0, others / (now() - wall_seconds_));
}

int64_t peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{1024} * usage.ru_maxrss;
}

}  // namespace groma::bench
