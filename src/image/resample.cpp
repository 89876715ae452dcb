#include "image/resample.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace groma {
namespace {

/// Weights are integers in units of 2^-22: 32 bits less 8 of a sample and 2 for sums beyond [0, 1].
constexpr int kFractionBits = 22;
constexpr std::int32_t kOne = 1 << kFractionBits;
constexpr std::int32_t kHalf = kOne / 2;

/// A weight is high * 2^11 + low: products of 16-bit numbers are what every processor adds up fast.
constexpr int kLowBits = 11;
constexpr std::int32_t kLowMask = (1 << kLowBits) - 1;

/// Which source samples make each target sample, and how much each counts.
struct Filter {
  int taps = 0;            ///< weights of a target sample, padded with zeros to whole vectors
  std::vector<int> begin;  ///< first source sample of each target sample
  std::vector<int> count;  ///< weights that are not padding
  std::vector<std::int16_t> high;  ///< taps of each target sample
  std::vector<std::int16_t> low;

  std::int32_t weight(int target, int tap) const {
    const std::size_t at = static_cast<std::size_t>(target) * taps + tap;
    return high[at] * (1 << kLowBits) + low[at];
  }
};

/// The cubic convolution kernel of Keys, a = -1/2.
double cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

Filter make_filter(int source_size, int target_size) {
  constexpr int kVector = 8;
  const double scale = static_cast<double>(source_size) / target_size;
  const double stretch = std::max(scale, 1.0);
  const double radius = 2 * stretch;
  Filter filter;
  filter.taps = (2 * static_cast<int>(std::ceil(radius)) + kVector) / kVector * kVector;
  filter.high.resize(static_cast<std::size_t>(target_size) * filter.taps);
  filter.low.resize(filter.high.size());
  std::vector<double> exact;
  for (int i = 0; i < target_size; ++i) {
    const double center = (i + 0.5) * scale;
    const int begin = std::max(static_cast<int>(center - radius + 0.5), 0);
    const int end = std::min(static_cast<int>(center + radius + 0.5), source_size);
    exact.resize(end - begin);
    double sum = 0;
    for (int k = begin; k < end; ++k) {
      exact[k - begin] = cubic((k - center + 0.5) * (1 / stretch));
      sum += exact[k - begin];
    }
    for (int k = 0; k < end - begin; ++k) {
      const auto weight = static_cast<std::int32_t>(std::round(exact[k] / sum * kOne));
      const std::size_t at = static_cast<std::size_t>(i) * filter.taps + k;
      filter.high[at] = static_cast<std::int16_t>(weight >> kLowBits);
      filter.low[at] = static_cast<std::int16_t>(weight & kLowMask);
    }
    filter.begin.push_back(begin);
    filter.count.push_back(end - begin);
  }
  return filter;
}

std::uint8_t to_level(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> kFractionBits, 0, 255));
}

/// One row; `planes` is room for its three channels, one after the other, each with taps to spare.
void resample_row(const std::uint8_t* row, int width, const Filter& filter,
                  std::vector<std::int16_t>& planes, std::uint8_t* target) {
  const std::size_t stride = planes.size() / 3;
  std::int16_t* const red = planes.data();
  std::int16_t* const green = red + stride;
  std::int16_t* const blue = green + stride;
  for (int x = 0; x < width; ++x, row += 3) {
    red[x] = row[0];
    green[x] = row[1];
    blue[x] = row[2];
  }
  const int size = static_cast<int>(filter.begin.size());
  for (int i = 0; i < size; ++i) {
    const std::int16_t* high = filter.high.data() + static_cast<std::size_t>(i) * filter.taps;
    const std::int16_t* low = filter.low.data() + static_cast<std::size_t>(i) * filter.taps;
    for (int channel = 0; channel < 3; ++channel) {
      const std::int16_t* samples = planes.data() + channel * stride + filter.begin[i];
      // Unsigned: of a very wide picture the parts may wrap around, their sum does not.
      std::uint32_t high_sum = 0;
      std::uint32_t low_sum = 0;
      for (int k = 0; k < filter.taps; ++k) {
        high_sum += static_cast<std::uint32_t>(samples[k] * high[k]);
        low_sum += static_cast<std::uint32_t>(samples[k] * low[k]);
      }
      *target++ = to_level(static_cast<std::int32_t>(kHalf + (high_sum << kLowBits) + low_sum));
    }
  }
}

/// So many rows that a thread of its own pays, when one takes this many multiplications.
int64_t rows_for_a_thread(std::size_t multiplications) {
  return static_cast<int64_t>((std::size_t{1} << 21) / multiplications + 1);
}

/// source    height rows of `width` pixels
/// target    height rows of as many pixels as the filter makes
void resample_rows(const std::uint8_t* source, int width, int height, const Filter& filter,
                   std::uint8_t* target) {
  const std::size_t target_row = 3 * filter.begin.size();
  const int64_t grain = rows_for_a_thread(target_row * filter.taps);
  at::parallel_for(0, height, grain, [&](int64_t begin, int64_t end) {
    std::vector<std::int16_t> planes(std::size_t{3} * (width + filter.taps));
    for (int64_t y = begin; y < end; ++y) {
      resample_row(source + y * std::ptrdiff_t{3} * width, width, filter, planes,
                   target + y * target_row);
    }
  });
}

/// source    rows of `width` pixels
/// target    as many rows as the filter makes
void resample_columns(const std::uint8_t* source, int width, const Filter& filter,
                      std::uint8_t* target) {
  const auto row = std::ptrdiff_t{3} * width;
  const auto size = static_cast<int64_t>(filter.begin.size());
  const int64_t grain = rows_for_a_thread(static_cast<std::size_t>(row) * filter.taps);
  at::parallel_for(0, size, grain, [&](int64_t begin, int64_t end) {
    std::vector<std::int32_t> sums(row);
    for (int64_t y = begin; y < end; ++y) {
      std::fill(sums.begin(), sums.end(), kHalf);
      const std::uint8_t* samples = source + filter.begin[y] * row;
      for (int k = 0; k < filter.count[y]; ++k, samples += row) {
        const std::int32_t weight = filter.weight(static_cast<int>(y), k);
        for (std::ptrdiff_t x = 0; x < row; ++x) sums[x] += weight * samples[x];
      }
      std::transform(sums.begin(), sums.end(), target + y * row, to_level);
    }
  });
}

}  // namespace

void resample_bicubic(const std::uint8_t* rgb, int width, int height, std::uint8_t* target,
                      int size) {
  const Filter across = make_filter(width, size);
  const Filter down = make_filter(height, size);
  // Quirk: levels are rounded between the passes, so their order shows (by up to 8 levels). Pillow
  // changed it in version 13; older ones, which the original used, always did the rows first.
  const bool columns_first = height > size && height - size > 2 * (width - size);
  if (columns_first) {
    std::vector<std::uint8_t> low(std::size_t{3} * width * size);
    resample_columns(rgb, width, down, low.data());
    resample_rows(low.data(), width, size, across, target);
  } else {
    std::vector<std::uint8_t> narrow(std::size_t{3} * size * height);
    resample_rows(rgb, width, height, across, narrow.data());
    resample_columns(narrow.data(), size, down, target);
  }
}

}  // namespace groma
