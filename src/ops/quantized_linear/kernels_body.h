// The body of all kernels in terms of vectors of 16 numbers; lanes_*.h says what those are. Each
// kernels_*.cpp includes its lanes, then this. Everything has internal linkage and calls nothing
// from the standard library: a function compiled here must never serve the rest of the program.

#include "ops/quantized_linear/kernels.h"

namespace groma::ops::quantized {
namespace {

// gcc keeps an array in registers only where every loop over it is unrolled.
#define GROMA_UNROLLED _Pragma("GCC unroll 16")

constexpr int64_t kInt8Zero = 128, kInt4Zero = 8;

int32_t word_at(const void* from) {
  int32_t word;
  __builtin_memcpy(&word, from, sizeof(word));
  return word;
}

uint16_t round_bfloat16(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof(bits));
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

void store_columns(const Target& target, int row, int first, F32 value) {
  const int columns = target.columns - first;
  const int64_t at = row * target.stride + first;
  if (target.bfloat16) {
    auto* to = static_cast<uint16_t*>(target.data) + at;
    if (columns >= kPanel) return store_bfloat16(to, value);
    uint16_t whole[kPanel];
    store_bfloat16(whole, value);
    for (int c = 0; c < columns; ++c) to[c] = whole[c];
  } else {
    auto* to = static_cast<float*>(target.data) + at;
    if (columns >= kPanel) return store(to, value);
    float whole[kPanel];
    store(whole, value);
    for (int c = 0; c < columns; ++c) to[c] = whole[c];
  }
}

}  // namespace
}  // namespace groma::ops::quantized

#include "ops/quantized_linear/bfloat16_body.h"
#include "ops/quantized_linear/winograd_body.h"

namespace groma::ops::quantized {
namespace {

F32 load_inputs(const void* x, bool bfloat16, int64_t at, int64_t end) {
  if (at + kPanel <= end) {
    return bfloat16 ? load_bfloat16(static_cast<const uint16_t*>(x) + at)
                    : load(static_cast<const float*>(x) + at);
  }
  float part[kPanel] = {};
  for (int64_t i = at; i < end; ++i) {
    if (bfloat16) {
      const uint32_t bits = static_cast<uint32_t>(static_cast<const uint16_t*>(x)[i]) << 16;
      __builtin_memcpy(&part[i - at], &bits, sizeof(bits));
    } else {
      part[i - at] = static_cast<const float*>(x)[i];
    }
  }
  return load(part);
}

void quantize(const void* x, bool bfloat16, int64_t stride, int rows, int64_t inputs,
              int64_t padded, int64_t group, int8_t* values, float* scales, int32_t* sums) {
  const int64_t groups = (padded + group - 1) / group;
  for (int row = 0; row < rows; ++row) {
    const void* from =
        bfloat16 ? static_cast<const void*>(static_cast<const uint16_t*>(x) + row * stride)
                 : static_cast<const float*>(x) + row * stride;
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t first = g * group;
      const int64_t last = first + group < padded ? first + group : padded;
      F32 largest = zeros();
      for (int64_t i = first; i < last; i += kPanel) {
        largest = larger_magnitude(largest, load_inputs(from, bfloat16, i, inputs));
      }
      const float most = largest_of(largest);
      const F32 inverse = spread(most > 0 ? 127.0f / most : 0.0f);
      int32_t sum = 0;
      for (int64_t i = first; i < last; i += kPanel) {
        int8_t rounded[kPanel];
        store_rounded(rounded, mul(load_inputs(from, bfloat16, i, inputs), inverse));
        for (int s = 0; s < kPanel / kStep; ++s) {
          __builtin_memcpy(values + ((i / kStep + s) * rows + row) * kStep, rounded + s * kStep,
                           kStep);
        }
        for (int c = 0; c < kPanel; ++c) sum += rounded[c];
      }
      scales[g * rows + row] = most / 127.0f;
      sums[g * rows + row] = sum;
    }
  }
}

/// Nibbles of a group at a scale, as floats from -8 to 7, and their squared error.
struct RoundedGroup {
  F32 nibbles[2];
  float error, along, square;  // along: sum of x * nibble; square: of nibble^2
};

RoundedGroup round_group(const F32 (&x)[2], float scale) {
  RoundedGroup out;
  const F32 inverse = spread(scale != 0 ? 1 / scale : 0.0f), minus = spread(-scale);
  F32 error = zeros(), along = zeros(), square = zeros();
  for (int half = 0; half < 2; ++half) {
    const F32 q = rounded(mul(x[half], inverse), -8, 7);
    const F32 rest = fma(q, minus, x[half]);
    error = fma(rest, rest, error);
    along = fma(q, x[half], along);
    square = fma(q, q, square);
    out.nibbles[half] = q;
  }
  out.error = sum_of(error);
  out.along = sum_of(along);
  out.square = sum_of(square);
  return out;
}

float round_int4(const float* from, bool search, uint8_t* nibbles) {
  const F32 x[2] = {load(from), load(from + kPanel)};
  float extreme = 0;
  for (int i = 0; i < kGroup; ++i) {
    const float magnitude = from[i] < 0 ? -from[i] : from[i];
    const float most = extreme < 0 ? -extreme : extreme;
    if (magnitude > most) extreme = from[i];
  }
  float scale = half_rounded(extreme / -8);
  RoundedGroup best = round_group(x, scale);
  // Around the plain scale, and each time where the least squares of the nibbles found put it.
  constexpr int kTries = 7;
  for (int i = -kTries; search && i <= kTries && extreme != 0; ++i) {
    auto found = round_group(x, extreme / (-8 + 0.2f * static_cast<float>(i)));
    if (!(found.square > 0)) continue;
    const float fitted = half_rounded(found.along / found.square);
    found = round_group(x, fitted);
    if (!(found.error < best.error)) continue;
    best = found;
    scale = fitted;
  }
  for (int half = 0; half < 2; ++half) {
    float values[kPanel];
    store(values, best.nibbles[half]);
    for (int i = 0; i < kPanel; ++i) {
      nibbles[half * kPanel + i] = static_cast<uint8_t>(static_cast<int>(values[i]) + 8);
    }
  }
  return scale;
}

template <int kRows>
void int8_panels(const Block& block, const uint8_t* weights, const float* channel_scales,
                 const Target& target) {
  constexpr int kPanels = 2;
  const int64_t panel = int8_panel_bytes(block.inputs);
  // The totals of the groups; in memory, as the registers are taken up by the sums of one group.
  float total[kRows][kPanels][kPanel] = {};
  for (int64_t first = 0, g = 0; first < block.inputs; first += block.group, ++g) {
    const int64_t last = first + block.group < block.inputs ? first + block.group : block.inputs;
    I32 sum[kRows][kPanels];
    // The bytes are 128 too large: that much of the activations is taken off beforehand, exactly.
    GROMA_UNROLLED
    for (int r = 0; r < kRows; ++r) {
      const auto start = spread(static_cast<int32_t>(-kInt8Zero * block.sums[g * kRows + r]));
      GROMA_UNROLLED
      for (int p = 0; p < kPanels; ++p) sum[r][p] = start;
    }
    const int8_t* x = block.values + first * kRows;
    for (int64_t i = first; i < last; i += kStep, x += kRows * kStep) {
      Bytes w[kPanels];
      GROMA_UNROLLED
      for (int p = 0; p < kPanels; ++p) {
        w[p] = load_bytes(weights + p * panel + i * kPanel);
        prefetch(weights + p * panel + i * kPanel + 2048);
      }
      GROMA_UNROLLED
      for (int r = 0; r < kRows; ++r) {
        const auto activation = spread_word(word_at(x + r * kStep));
        GROMA_UNROLLED
        for (int p = 0; p < kPanels; ++p) sum[r][p] = dot(sum[r][p], w[p], activation);
      }
    }
    GROMA_UNROLLED
    for (int r = 0; r < kRows; ++r) {
      const F32 scale = spread(block.scales[g * kRows + r]);
      GROMA_UNROLLED
      for (int p = 0; p < kPanels; ++p) {
        store(total[r][p], fma(to_float(sum[r][p]), scale, load(total[r][p])));
      }
    }
  }
  for (int p = 0; p < kPanels && p * kPanel < target.columns; ++p) {
    const F32 scale = load(channel_scales + p * kPanel);
    for (int r = 0; r < kRows; ++r) {
      store_columns(target, r, p * kPanel, mul(load(total[r][p]), scale));
    }
  }
}

template <int kRows>
void int4_panel(const Block& block, const uint8_t* weights, const Target& target) {
  F32 total[kRows];
  GROMA_UNROLLED
  for (auto& sum : total) sum = zeros();
  const int8_t* x = block.values;
  constexpr int kHalf = kGroup / kStep / 2;  // steps in the low halves of the bytes
  for (int64_t g = 0; g < block.inputs / kGroup; ++g) {
    const F32 channel_scale = load_half(weights);
    const uint8_t* bytes = weights + kPanel * 2;
    I32 sum[kRows];
    GROMA_UNROLLED
    for (int r = 0; r < kRows; ++r) {
      sum[r] = spread(static_cast<int32_t>(-kInt4Zero * block.sums[g * kRows + r]));
    }
    for (int s = 0; s < kHalf; ++s) {
      const Bytes both = load_bytes(bytes + s * kPanel * kStep);
      prefetch(bytes + s * kPanel * kStep + 2048);
      const Bytes low = low_halves(both), high = high_halves(both);
      GROMA_UNROLLED
      for (int r = 0; r < kRows; ++r) {
        sum[r] = dot(sum[r], low, spread_word(word_at(x + (s * kRows + r) * kStep)));
        sum[r] = dot(sum[r], high, spread_word(word_at(x + ((s + kHalf) * kRows + r) * kStep)));
      }
    }
    GROMA_UNROLLED
    for (int r = 0; r < kRows; ++r) {
      const F32 scale = mul(channel_scale, spread(block.scales[g * kRows + r]));
      total[r] = fma(to_float(sum[r]), scale, total[r]);
    }
    weights += kInt4GroupBytes;
    x += kRows * kGroup;
  }
  GROMA_UNROLLED
  for (int r = 0; r < kRows; ++r) store_columns(target, r, 0, total[r]);
}

void int4_to_int8(const uint8_t* weights, int64_t inputs, uint8_t* values, float* scales) {
  const int64_t groups = inputs / kGroup;
  F32 largest = zeros();
  for (int64_t g = 0; g < groups; ++g) {
    largest = larger_magnitude(largest, load_half(weights + g * kInt4GroupBytes));
  }
  // A value is (q - 8) * scale; its byte becomes round((q - 8) * 16 * factor / 2^15) with
  // factor = kFull * scale / largest, so that -8 at the largest scale gives 127.
  constexpr float kFull = 127.0f * 32768 / 128;
  float most[kPanel], factor[kPanel];
  store(most, largest);
  for (int c = 0; c < kPanel; ++c) {
    factor[c] = most[c] > 0 ? kFull / most[c] : 0;
    scales[c] = most[c] * 8 / 127;
  }
  const F32 factors = load(factor);
  for (int64_t g = 0; g < groups; ++g, weights += kInt4GroupBytes) {
    const auto pairs = rounded_pairs(mul(load_half(weights), factors));
    constexpr int kHalf = kGroup / kStep / 2;
    for (int s = 0; s < kHalf; ++s) {
      const Bytes both = load_bytes(weights + kPanel * 2 + s * kPanel * kStep);
      uint8_t* to = values + (g * kGroup / kStep + s) * kPanel * kStep;
      store_scaled(to, low_halves(both), pairs);
      store_scaled(to + kHalf * kPanel * kStep, high_halves(both), pairs);
    }
  }
}

template <int kRows, int kChannels>
void bfloat16_block(const float* x, int64_t inputs, const uint16_t* weights, const Target& target,
                    int first) {
  F32 sum[kRows][kChannels];
  GROMA_UNROLLED
  for (auto& row : sum) {
    GROMA_UNROLLED
    for (auto& s : row) s = zeros();
  }
  const int64_t whole = inputs / kPanel * kPanel;
  for (int64_t i = 0; i < whole; i += kPanel) {
    F32 w[kChannels];
    GROMA_UNROLLED
    for (int c = 0; c < kChannels; ++c) {
      w[c] = load_bfloat16(weights + c * inputs + i);
      prefetch(weights + c * inputs + i + 512);
    }
    GROMA_UNROLLED
    for (int r = 0; r < kRows; ++r) {
      const F32 a = load(x + r * inputs + i);
      GROMA_UNROLLED
      for (int c = 0; c < kChannels; ++c) sum[r][c] = fma(a, w[c], sum[r][c]);
    }
  }
  GROMA_UNROLLED
  for (int c = 0; c < kChannels; ++c) {
    GROMA_UNROLLED
    for (int r = 0; r < kRows; ++r) {
      if (whole < inputs) {
        const F32 w = load_inputs(weights + c * inputs, true, whole, inputs);
        sum[r][c] = fma(load_inputs(x + r * inputs, false, whole, inputs), w, sum[r][c]);
      }
      const float value = sum_of(sum[r][c]);
      const int64_t at = r * target.stride + first + c;
      if (target.bfloat16) {
        static_cast<uint16_t*>(target.data)[at] = round_bfloat16(value);
      } else {
        static_cast<float*>(target.data)[at] = value;
      }
    }
  }
}

template <int kRows>
void bfloat16_rows(const float* x, int64_t inputs, const uint16_t* weights, int channels,
                   const Target& target) {
  constexpr int kTogether = kRows <= 4 ? 4 : 2;  // as many sums as there are registers for
  int c = 0;
  for (; c + kTogether <= channels; c += kTogether) {
    bfloat16_block<kRows, kTogether>(x, inputs, weights + c * inputs, target, c);
  }
  for (; c < channels; ++c) {
    bfloat16_block<kRows, 1>(x, inputs, weights + c * inputs, target, c);
  }
}

void attend(const float* q, const uint16_t* keys, const uint16_t* values, int64_t positions,
            int64_t width, float scale, float* weights, float* out) {
  float most = -__builtin_inff();
  for (int64_t p = 0; p < positions; ++p) {
    F32 sum = zeros();
    for (int64_t i = 0; i < width; i += kPanel) {
      sum = fma(load(q + i), load_bfloat16(keys + p * width + i), sum);
    }
    weights[p] = sum_of(sum) * scale;
    most = weights[p] > most ? weights[p] : most;
  }
  float total = 0;
  for (int64_t p = 0; p < positions; ++p) {
    weights[p] = __builtin_expf(weights[p] - most);
    total += weights[p];
  }
  constexpr int64_t kTogether = 8;  // vectors of the result in registers at a time
  for (int64_t first = 0; first < width; first += kTogether * kPanel) {
    const int64_t left = (width - first) / kPanel;
    const int count = static_cast<int>(left < kTogether ? left : kTogether);
    F32 sum[kTogether];
    for (auto& s : sum) s = zeros();
    for (int64_t p = 0; p < positions; ++p) {
      const F32 weight = spread(weights[p]);
      const uint16_t* row = values + p * width + first;
      if (count == kTogether) {
        GROMA_UNROLLED
        for (int i = 0; i < kTogether; ++i) {
          sum[i] = fma(weight, load_bfloat16(row + i * kPanel), sum[i]);
        }
      } else {
        for (int i = 0; i < count; ++i) {
          sum[i] = fma(weight, load_bfloat16(row + i * kPanel), sum[i]);
        }
      }
    }
    const F32 share = spread(1 / total);
    for (int i = 0; i < count; ++i) store(out + first + i * kPanel, mul(sum[i], share));
  }
}

void any_int8_panels(const Block& block, const uint8_t* weights, const float* scales,
                     const Target& target) {
  using Body = void (*)(const Block&, const uint8_t*, const float*, const Target&);
  constexpr Body kBodies[] = {int8_panels<1>, int8_panels<2>,  int8_panels<3>,  int8_panels<4>,
                              int8_panels<5>, int8_panels<6>,  int8_panels<7>,  int8_panels<8>,
                              int8_panels<9>, int8_panels<10>, int8_panels<11>, int8_panels<12>};
  kBodies[block.rows - 1](block, weights, scales, target);
}

void any_int4_panel(const Block& block, const uint8_t* weights, const Target& target) {
  using Body = void (*)(const Block&, const uint8_t*, const Target&);
  constexpr Body kBodies[] = {int4_panel<1>, int4_panel<2>, int4_panel<3>, int4_panel<4>,
                              int4_panel<5>, int4_panel<6>, int4_panel<7>, int4_panel<8>};
  kBodies[block.rows - 1](block, weights, target);
}

void any_bfloat16_rows(const float* x, int rows, int64_t inputs, const uint16_t* weights,
                       int channels, const Target& target) {
  using Body = void (*)(const float*, int64_t, const uint16_t*, int, const Target&);
  constexpr Body kBodies[] = {bfloat16_rows<1>, bfloat16_rows<2>, bfloat16_rows<3>,
                              bfloat16_rows<4>, bfloat16_rows<5>, bfloat16_rows<6>,
                              bfloat16_rows<7>, bfloat16_rows<8>};
  kBodies[rows - 1](x, inputs, weights, channels, target);
}

constexpr Kernels kernels_named(const char* name) {
  return {name,   quantize,          round_int4,      any_int8_panels, any_int4_panel, int4_to_int8,
          attend, any_bfloat16_rows, pack_rows,       pack_columns,    any_pair_panel, store_sums,
          soften, winograd_input,    winograd_weight, winograd_output};
}

}  // namespace
}  // namespace groma::ops::quantized
