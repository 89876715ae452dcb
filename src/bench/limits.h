#pragma once

#include <cstdint>
#include <functional>

namespace groma::bench {

/// What the machine gives to one kind of work, found with the work itself, in the state that the
/// machine is in: with other programs running it is less than when idle.
struct MachineLimits {
  double float32_flops = 0;   ///< of matrix products, a second
  double bfloat16_flops = 0;  ///< of matrix products, a second
  double int8_flops = 0;      ///< of our own quantised products, a second
  double memory_bytes = 0;    ///< read from memory, a second
};

/// Takes about two seconds on an idle machine with four cores.
MachineLimits measure_limits();

/// Least seconds that `work` took in `repeats` runs.
double best_seconds(int repeats, const std::function<void()>& work);

/// Cores that other programs kept busy during a span of time, from /proc/stat; 0 where there is no
/// such file.
class LoadMeter {
 public:
  LoadMeter();
  double others() const;

 private:
  double busy_seconds_, own_seconds_, wall_seconds_;  // when it was made
};

/// Largest memory of this process so far, bytes.
int64_t peak_memory();

}  // namespace groma::bench
