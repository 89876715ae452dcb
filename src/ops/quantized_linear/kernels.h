#pragma once

#include <cstdint>

/// The inner loops of quantised and thin matrix products, one set an instruction set. Raw memory,
/// one thread, no LibTorch: the sources are compiled for processors newer than the rest.
///
/// Weights lie in panels of kPanel output channels, a panel in steps of kStep inputs, so that one
/// vector holds the step of every channel: what `vpdpbusd` multiplies with one broadcast word.
namespace groma::ops::quantized {

constexpr int kPanel = 16;      ///< output channels of a panel
constexpr int kStep = 4;        ///< inputs of a step
constexpr int kGroup = 32;      ///< inputs that share a scale in int4, and the unit of padding
constexpr int kThinRows = 8;    ///< most rows of a thin product
constexpr int kBlockRows = 12;  ///< rows of a block of a thick product
constexpr int kPairPanel = 32;  ///< columns of a panel of pairs of bfloat16 numbers

/// Numbers from one row to the next, for rows of at least `count` floats or bfloat16 numbers: an
/// odd number of cache lines (two lines of floats), so that a block's rows lie in different sets.
constexpr int64_t row_distance(int64_t count) {
  constexpr int64_t kLine = 32;
  return ((count + kLine - 1) / kLine | 1) * kLine;
}

constexpr int kWinogradCells = 16;   ///< 4x4 cells that 2x2 results of a 3x3 convolution see
constexpr int kWinogradResults = 4;  ///< 2x2

/// int4: a group of a panel is 16 half scales, then 4 x 16 x 4 bytes; byte [s][c][i] holds input
/// 4 s + i of channel c in its low half and input 16 + 4 s + i in its high half, each plus 8.
constexpr int kInt4GroupBytes = kPanel * 2 + kPanel * kGroup / 2;
/// int8: a panel is [inputs / 4][16][4] bytes, each plus 128; the scales lie elsewhere.
constexpr int64_t int8_panel_bytes(int64_t inputs) { return inputs * kPanel; }
constexpr int64_t int4_panel_bytes(int64_t inputs) { return inputs / kGroup * kInt4GroupBytes; }

/// Rows of activations as signed bytes, a scale for every `group` inputs of a row.
struct Block {
  int rows;              ///< 1 to kBlockRows
  int64_t inputs;        ///< multiple of kGroup
  int64_t group;         ///< multiple of kGroup
  const int8_t* values;  ///< [inputs / 4][rows][4]
  const float* scales;   ///< [groups][rows]
  const int32_t* sums;   ///< [groups][rows], of the group's values
};

/// Where results go: row r, column c at data[r * stride + c].
struct Target {
  void* data;
  int64_t stride;  ///< elements
  int columns;     ///< of the panels at hand; the rest is padding
  bool bfloat16;   ///< else float
};

struct Kernels {
  const char* name;

  /// Fills values, scales and sums of a block from rows of `inputs` numbers (float, or bfloat16
  /// when `bfloat16`), `stride` elements apart; what is missing to `padded` inputs counts as zero.
  void (*quantize)(const void* x, bool bfloat16, int64_t stride, int rows, int64_t inputs,
                   int64_t padded, int64_t group, int8_t* values, float* scales, int32_t* sums);

  /// Rounds kGroup numbers to nibbles 0 to 15, each meaning (nibble - 8) * scale; returns the
  /// scale, exact in half precision. `search` tries several scales and keeps the least squared
  /// error, without it the number of largest magnitude becomes 0, that is -8.
  float (*round_int4)(const float* x, bool search, uint8_t* nibbles);

  /// Two panels of int8 times a block.   weights: both panels, one after the other; scales [32]
  void (*int8_panels)(const Block& block, const uint8_t* weights, const float* scales,
                      const Target& target);

  /// One panel of int4 times a block of at most kThinRows rows in groups of kGroup.
  void (*int4_panel)(const Block& block, const uint8_t* weights, const Target& target);

  /// One panel of int4 as int8 with a scale a channel, for thick products. The step is a 127th of
  /// the channel's largest value, so this adds about a hundredth to the error of int4.
  void (*int4_to_int8)(const uint8_t* weights, int64_t inputs, uint8_t* values, float* scales);

  /// One query against the keys and values of `positions` earlier positions, all bfloat16 and
  /// [positions, width], width a multiple of kPanel: softmax(scale * q k) v into out [width].
  /// weights: scratch for `positions` numbers
  void (*attend)(const float* q, const uint16_t* keys, const uint16_t* values, int64_t positions,
                 int64_t width, float scale, float* weights, float* out);

  /// `channels` rows of a bfloat16 matrix times at most kThinRows rows of floats, [rows][inputs].
  void (*bfloat16_rows)(const float* x, int rows, int64_t inputs, const uint16_t* weights,
                        int channels, const Target& target);

  /// A panel of kPairPanel columns from as many rows of `inputs` bfloat16 numbers, `stride` apart:
  /// word [i][c] holds inputs 2 i and 2 i + 1 of row c. What is missing becomes zero.
  void (*pack_rows)(const uint16_t* from, int64_t stride, int rows, int64_t inputs,
                    uint32_t* panel);

  /// The same from the columns of a matrix of `inputs` rows.
  void (*pack_columns)(const uint16_t* from, int64_t stride, int columns, int64_t inputs,
                       uint32_t* panel);

  /// At most kBlockRows rows of bfloat16 numbers times such a panel, into sums or added to them.
  ///
  /// inputs  even; what pads a row is zero
  void (*pair_panel)(const uint16_t* x, int64_t stride, int rows, int64_t inputs,
                     const uint32_t* panel, bool add, float* sums, int64_t sums_stride);

  /// Rounds rows of kPairPanel such sums, plus `bias`, into a result.
  void (*store_sums)(const float* sums, int64_t sums_stride, int rows, const float* bias,
                     const Target& target);

  /// e^(scale * (score - the largest score)) of `count` scores as bfloat16 numbers, zeros after
  /// them up to `padded`; returns their sum before rounding.
  float (*soften)(const float* scores, int64_t count, int64_t padded, float scale,
                  uint16_t* weights);

  /// B^T d B of a tile: 4x4 cells of `channels` bfloat16 numbers, a multiple of kPanel, become as
  /// many, `distance` numbers apart.
  void (*winograd_input)(const uint16_t* const (&from)[kWinogradCells], int64_t channels,
                         uint16_t* to, int64_t distance);

  /// G g G^T of one output channel.   taps: [inputs, 3, 3] bfloat16, inputs a multiple of kPanel
  void (*winograd_weight)(const uint16_t* taps, int64_t inputs, uint16_t* to, int64_t distance);

  /// A^T m A of a tile: 4x4 sums a channel become 2x2 results; those without a place are dropped.
  void (*winograd_output)(const float* sums, int64_t distance, int64_t channels,
                          uint16_t* const (&to)[kWinogradResults]);
};

extern const Kernels kPlainKernels;
#if defined(__x86_64__)
extern const Kernels kAvx2Kernels;        ///< needs avx2, fma, f16c
extern const Kernels kAvx512Kernels;      ///< needs avx512 f, bw, vl, dq, vnni
extern const Kernels kAvx512Bf16Kernels;  ///< and bf16
#endif

/// All that this machine can run, the fastest first.
constexpr int kMostSets = 4;
int available_kernels(const Kernels* (&list)[kMostSets]);

/// Whether the fastest of them multiplies pairs of bfloat16 numbers in one instruction, and the
/// machine has none for whole tiles (AMX), which LibTorch's products use.
bool multiplies_pairs();

}  // namespace groma::ops::quantized
