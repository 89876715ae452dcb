#include "image/resample.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace groma {
namespace {

std::vector<std::uint8_t> noise(int width, int height) {
  std::vector<std::uint8_t> rgb(std::size_t{3} * width * height);
  std::uint32_t state = 1;
  for (auto& level : rgb)
    level = static_cast<std::uint8_t>((state = state * 1664525 + 1013904223) >> 24);
  return rgb;
}

/// Keys' kernel written as in the paper, powers and all.
double keys(double x) {
  x = std::abs(x);
  if (x < 1) return 1.5 * std::pow(x, 3) - 2.5 * std::pow(x, 2) + 1;
  if (x < 2) return -0.5 * std::pow(x, 3) + 2.5 * std::pow(x, 2) - 4 * x + 2;
  return 0;
}

/// One target sample along one axis, in double; `at` gives the source samples.
template <typename At>
double sample(int target, int source_size, int size, const At& at) {
  const double scale = static_cast<double>(source_size) / size;
  const double stretch = std::max(1.0, scale);
  const double center = (target + 0.5) * scale;
  double sum = 0, total = 0;
  for (int k = 0; k < source_size; ++k) {
    // Pillow cuts the window at whole samples; the kernel is 0 at its ends, so little is lost.
    const double weight = keys((k + 0.5 - center) / stretch);
    sum += weight * at(k);
    total += weight;
  }
  return sum / total;
}

/// Without rounding in between and in double: at most a level or two from the fixed-point one.
double exact_level(const std::vector<std::uint8_t>& rgb, int width, int height, int size, int x,
                   int y, int channel) {
  return sample(y, height, size, [&](int row) {
    const double level = sample(x, width, size, [&](int column) {
      return static_cast<double>(rgb[3 * (std::size_t{1} * row * width + column) + channel]);
    });
    return std::clamp(level, 0.0, 255.0);
  });
}

TEST(Resample, IsNearTheExactConvolution) {
  const int sizes[][2] = {{7, 5}, {40, 30}, {90, 45}, {33, 34}, {1, 1}, {200, 3}};
  for (const auto& [width, height] : sizes) {
    const int size = 32;
    const auto rgb = noise(width, height);
    std::vector<std::uint8_t> target(size * size * 3);
    resample_bicubic(rgb.data(), width, height, target.data(), size);
    for (int y = 0; y < size; y += 3) {
      for (int x = 0; x < size; x += 3) {
        for (int c = 0; c < 3; ++c) {
          const double exact =
              std::clamp(exact_level(rgb, width, height, size, x, y, c), 0.0, 255.0);
          // Half a level of rounding after each pass, the first one amplified by at most 1.3.
          ASSERT_NEAR(target[3 * (y * size + x) + c], exact, 1.3)
              << width << 'x' << height << " at " << x << ' ' << y;
        }
      }
    }
  }
}

TEST(Resample, PlainColoursStay) {
  for (const int level : {0, 1, 128, 254, 255}) {
    const std::vector<std::uint8_t> rgb(97 * 61 * 3, static_cast<std::uint8_t>(level));
    std::vector<std::uint8_t> target(32 * 32 * 3);
    resample_bicubic(rgb.data(), 97, 61, target.data(), 32);
    EXPECT_TRUE(
        std::all_of(target.begin(), target.end(), [&](int value) { return value == level; }));
  }
}

TEST(Resample, SameSizeChangesNothing) {
  const auto rgb = noise(32, 32);
  std::vector<std::uint8_t> target(rgb.size());
  resample_bicubic(rgb.data(), 32, 32, target.data(), 32);
  EXPECT_EQ(target, rgb);
}

TEST(Resample, EveryPixelOfALongPictureCounts) {
  // So many weights that their parts wrap around in 32 bits.
  const int width = 65535;
  const std::vector<std::uint8_t> white(std::size_t{3} * width, 255);
  std::vector<std::uint8_t> target(14 * 14 * 3);
  resample_bicubic(white.data(), width, 1, target.data(), 14);
  EXPECT_TRUE(std::all_of(target.begin(), target.end(), [](int value) { return value == 255; }));
}

/// Sum over all levels times their place, to pin numbers that Pillow 13 gives.
std::uint32_t check_sum(const std::vector<std::uint8_t>& levels) {
  std::uint32_t sum = 0;
  for (const std::uint8_t level : levels) sum = sum * 31 + level;
  return sum;
}

TEST(Resample, EqualsPillow) {
  // Made by: Image.fromarray(noise).resize((32, 32), Image.BICUBIC) of Pillow 13.0.0.
  const struct {
    int width, height;
    std::uint32_t sum;
  } cases[] = {{40, 30, 3465113225u},
               {30, 40, 1934160385u},
               {7, 200, 466355382u},
               {200, 7, 1484662790u},
               {5, 5, 2602362111u}};
  for (const auto& expected : cases) {
    const auto rgb = noise(expected.width, expected.height);
    std::vector<std::uint8_t> target(32 * 32 * 3);
    resample_bicubic(rgb.data(), expected.width, expected.height, target.data(), 32);
    EXPECT_EQ(check_sum(target), expected.sum) << expected.width << 'x' << expected.height;
  }
}

}  // namespace
}  // namespace groma
