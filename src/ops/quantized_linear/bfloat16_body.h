// Thick products of bfloat16 numbers and what attention does between two of them; included by
// kernels_body.h, whose rules hold here too.

namespace groma::ops::quantized {
namespace {

constexpr int kPairVectors = kPairPanel / kPanel;

void pack_rows(const uint16_t* from, int64_t stride, int rows, int64_t inputs, uint32_t* panel) {
  int64_t done = 0;
  if (rows == kPairPanel) {
    for (; done + 2 * kPanel <= inputs; done += 2 * kPanel) {
      for (int v = 0; v < kPairVectors; ++v) {
        const uint16_t* corner = from + v * kPanel * stride + done;
        transpose_words(corner, stride, panel + done / 2 * kPairPanel + v * kPanel, kPairPanel);
      }
    }
  }
  for (int64_t i = done; i < inputs; i += 2) {
    uint32_t* to = panel + i / 2 * kPairPanel;
    for (int c = 0; c < kPairPanel; ++c) {
      const uint32_t low = c < rows ? from[c * stride + i] : 0;
      const uint32_t high = c < rows && i + 1 < inputs ? from[c * stride + i + 1] : 0;
      to[c] = low | high << 16;
    }
  }
}

void pack_columns(const uint16_t* from, int64_t stride, int columns, int64_t inputs,
                  uint32_t* panel) {
  for (int64_t i = 0; i < inputs; i += 2) {
    uint32_t* to = panel + i / 2 * kPairPanel;
    const uint16_t* low = from + i * stride;
    const uint16_t* high = low + stride;
    const uint32_t keep = i + 1 < inputs ? 0xffffu : 0;  // of the pair's second number
    if (keep == 0) high = low;
    for (int c = 0; c < columns; ++c) to[c] = low[c] | (high[c] & keep) << 16;
    for (int c = columns; c < kPairPanel; ++c) to[c] = 0;
  }
}

template <int kRows>
void pair_panel(const uint16_t* x, int64_t stride, int64_t inputs, const uint32_t* panel, bool add,
                float* sums, int64_t sums_stride) {
  F32 sum[kRows][kPairVectors];
  GROMA_UNROLLED
  for (int r = 0; r < kRows; ++r) {
    GROMA_UNROLLED
    for (int v = 0; v < kPairVectors; ++v) {
      sum[r][v] = add ? load(sums + r * sums_stride + v * kPanel) : zeros();
    }
  }
  for (int64_t i = 0; i < inputs; i += 2, panel += kPairPanel) {
    I32 w[kPairVectors];
    GROMA_UNROLLED
    for (int v = 0; v < kPairVectors; ++v) w[v] = load_words(panel + v * kPanel);
    GROMA_UNROLLED
    for (int r = 0; r < kRows; ++r) {
      const I32 pair = spread(word_at(x + r * stride + i));
      GROMA_UNROLLED
      for (int v = 0; v < kPairVectors; ++v) sum[r][v] = dot_pairs(sum[r][v], w[v], pair);
    }
  }
  GROMA_UNROLLED
  for (int r = 0; r < kRows; ++r) {
    GROMA_UNROLLED
    for (int v = 0; v < kPairVectors; ++v) {
      store(sums + r * sums_stride + v * kPanel, sum[r][v]);
    }
  }
}

void any_pair_panel(const uint16_t* x, int64_t stride, int rows, int64_t inputs,
                    const uint32_t* panel, bool add, float* sums, int64_t sums_stride) {
  using Body = void (*)(const uint16_t*, int64_t, int64_t, const uint32_t*, bool, float*, int64_t);
  constexpr Body kBodies[] = {pair_panel<1>, pair_panel<2>,  pair_panel<3>,  pair_panel<4>,
                              pair_panel<5>, pair_panel<6>,  pair_panel<7>,  pair_panel<8>,
                              pair_panel<9>, pair_panel<10>, pair_panel<11>, pair_panel<12>};
  kBodies[rows - 1](x, stride, inputs, panel, add, sums, sums_stride);
}

void store_sums(const float* sums, int64_t sums_stride, int rows, const float* bias,
                const Target& target) {
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < kPairVectors && v * kPanel < target.columns; ++v) {
      const F32 sum = load(sums + r * sums_stride + v * kPanel);
      store_columns(target, r, v * kPanel, fma(sum, spread(1.0f), load(bias + v * kPanel)));
    }
  }
}

/// e^x for x <= 0; next to nothing from -88 down.
F32 exponential(F32 x) {
  x = larger(spread(-88.0f), x);
  // x = n ln 2 + rest, |rest| <= ln 2 / 2; ln 2 as the sum of two floats. Taylor's series of the
  // rest is off by a fifth of a float's last place.
  const F32 n = rounded(mul(x, spread(0x1.715476p+0f)), -127, 0);
  const F32 rest = fma(n, spread(0x1.05c61p-29f), fma(n, spread(-0x1.62e43p-1f), x));
  F32 series = spread(1.0f / 720);
  series = fma(series, rest, spread(1.0f / 120));
  series = fma(series, rest, spread(1.0f / 24));
  series = fma(series, rest, spread(1.0f / 6));
  series = fma(series, rest, spread(0.5f));
  series = fma(series, rest, spread(1.0f));
  series = fma(series, rest, spread(1.0f));
  return times_power(series, n);
}

float soften(const float* scores, int64_t count, int64_t padded, float scale, uint16_t* weights) {
  const int64_t whole = count / kPanel * kPanel;
  F32 most = spread(-__builtin_inff());
  for (int64_t i = 0; i < whole; i += kPanel) most = larger(load(scores + i), most);
  float top = largest_of(most);
  for (int64_t i = whole; i < count; ++i) top = scores[i] > top ? scores[i] : top;
  const F32 one = spread(1.0f), factor = spread(scale), offset = spread(-top);
  const auto softened = [&](F32 score) {
    return exponential(mul(fma(score, one, offset), factor));
  };
  F32 sum = zeros();
  for (int64_t i = 0; i < whole; i += kPanel) {
    const F32 value = softened(load(scores + i));
    sum = fma(value, one, sum);
    store_bfloat16(weights + i, value);
  }
  float total = sum_of(sum);
  if (whole < count) {
    float rest[kPanel] = {};
    for (int64_t i = whole; i < count; ++i) rest[i - whole] = scores[i];
    store(rest, softened(load(rest)));
    for (int64_t i = whole; i < count; ++i) {
      total += rest[i - whole];
      weights[i] = round_bfloat16(rest[i - whole]);
    }
  }
  for (int64_t i = count; i < padded; ++i) weights[i] = 0;
  return total;
}

}  // namespace
}  // namespace groma::ops::quantized
