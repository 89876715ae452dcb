#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace groma::train {

/// A small random generator whose draws are the same on every machine and standard library.
///
/// Not for several threads; copies continue the same stream apart.
/// source    splitmix64: Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }

  /// In [0, 1).
  double uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

  /// In [low, high).
  double uniform(double low, double high) { return low + (high - low) * uniform(); }

  /// In 0..count-1; count must be positive.
  int below(int count) { return static_cast<int>(uniform() * count); }

  /// In low..high, both included.
  int between(int low, int high) { return low + below(high - low + 1); }

  bool chance(double probability) { return uniform() < probability; }

  template <typename Items>
  const auto& pick(const Items& items) {
    return items[static_cast<std::size_t>(below(static_cast<int>(std::size(items))))];
  }

  template <typename T>
  void shuffle(std::vector<T>& items) {
    for (int i = static_cast<int>(items.size()) - 1; i > 0; --i) {
      std::swap(items[static_cast<std::size_t>(i)], items[static_cast<std::size_t>(below(i + 1))]);
    }
  }

 private:
  std::uint64_t state_;
};

}  // namespace groma::train
