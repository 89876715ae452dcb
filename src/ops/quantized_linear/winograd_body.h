// The transforms of Winograd's convolution with 3x3 taps, 2x2 results at a time (Lavin & Gray 2015,
// section 4.1); included by kernels_body.h, whose rules hold here too.

namespace groma::ops::quantized {
namespace {

F32 plus(F32 a, F32 b) { return fma(a, spread(1.0f), b); }
F32 minus(F32 a, F32 b) { return fma(b, spread(-1.0f), a); }

/// a - c, b + c, c - b, b - d
void spread_cells(const F32 (&cells)[4], F32 (&to)[4]) {
  to[0] = minus(cells[0], cells[2]);
  to[1] = plus(cells[1], cells[2]);
  to[2] = minus(cells[2], cells[1]);
  to[3] = minus(cells[1], cells[3]);
}

void winograd_input(const uint16_t* const (&from)[kWinogradCells], int64_t channels, uint16_t* to,
                    int64_t distance) {
  for (int64_t c = 0; c < channels; c += kPanel) {
    F32 columns[4][4];
    GROMA_UNROLLED
    for (int x = 0; x < 4; ++x) {
      F32 cells[4];
      GROMA_UNROLLED
      for (int y = 0; y < 4; ++y) cells[y] = load_bfloat16(from[y * 4 + x] + c);
      spread_cells(cells, columns[x]);
    }
    GROMA_UNROLLED
    for (int y = 0; y < 4; ++y) {
      F32 row[4];
      spread_cells({columns[0][y], columns[1][y], columns[2][y], columns[3][y]}, row);
      GROMA_UNROLLED
      for (int x = 0; x < 4; ++x) store_bfloat16(to + (y * 4 + x) * distance + c, row[x]);
    }
  }
}

/// a, (a + b + c) / 2, (a - b + c) / 2, c
void spread_taps(F32 a, F32 b, F32 c, F32 (&to)[4]) {
  const F32 half = spread(0.5f), outer = plus(a, c);
  to[0] = a;
  to[1] = mul(plus(outer, b), half);
  to[2] = mul(minus(outer, b), half);
  to[3] = c;
}

void winograd_weight(const uint16_t* taps, int64_t inputs, uint16_t* to, int64_t distance) {
  constexpr int kTaps = 9;
  for (int64_t i = 0; i < inputs; i += kPanel) {
    uint16_t apart[kTaps][kPanel];
    for (int c = 0; c < kPanel; ++c) {
      for (int t = 0; t < kTaps; ++t) apart[t][c] = taps[(i + c) * kTaps + t];
    }
    F32 columns[3][4];
    for (int x = 0; x < 3; ++x) {
      spread_taps(load_bfloat16(apart[x]), load_bfloat16(apart[3 + x]), load_bfloat16(apart[6 + x]),
                  columns[x]);
    }
    for (int y = 0; y < 4; ++y) {
      F32 row[4];
      spread_taps(columns[0][y], columns[1][y], columns[2][y], row);
      for (int x = 0; x < 4; ++x) store_bfloat16(to + (y * 4 + x) * distance + i, row[x]);
    }
  }
}

void winograd_output(const float* sums, int64_t distance, int64_t channels,
                     uint16_t* const (&to)[kWinogradResults]) {
  for (int64_t c = 0; c < channels; c += kPanel) {
    F32 m[2][4];
    GROMA_UNROLLED
    for (int x = 0; x < 4; ++x) {
      F32 column[4];
      GROMA_UNROLLED
      for (int y = 0; y < 4; ++y) column[y] = load(sums + (y * 4 + x) * distance + c);
      m[0][x] = plus(plus(column[0], column[1]), column[2]);
      m[1][x] = minus(minus(column[1], column[2]), column[3]);
    }
    for (int y = 0; y < 2; ++y) {
      if (to[y * 2]) store_bfloat16(to[y * 2] + c, plus(plus(m[y][0], m[y][1]), m[y][2]));
      if (to[y * 2 + 1]) {
        store_bfloat16(to[y * 2 + 1] + c, minus(minus(m[y][1], m[y][2]), m[y][3]));
      }
    }
  }
}

}  // namespace
}  // namespace groma::ops::quantized
