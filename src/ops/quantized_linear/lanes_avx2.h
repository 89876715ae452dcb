// Vectors of 16 numbers in AVX2, as two halves. See lanes_plain.h for what each function does.

#include <immintrin.h>

#include <cstdint>

namespace groma::ops::quantized {
namespace {

struct F32 {
  __m256 low, high;
};
struct I32 {
  __m256i low, high;
};
using Bytes = I32;  // 16 x 4
using Pairs = I32;
struct Word {
  __m256i even, odd;  // bytes 0 and 2, 1 and 3, as 16-bit numbers
};

inline F32 zeros() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
inline F32 spread(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline I32 spread(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
inline Word spread_word(int32_t x) {
  const auto all = _mm256_set1_epi32(x);
  return {_mm256_srai_epi16(_mm256_slli_epi16(all, 8), 8), _mm256_srai_epi16(all, 8)};
}
inline F32 load(const float* from) { return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)}; }
inline void store(float* to, F32 x) {
  _mm256_storeu_ps(to, x.low);
  _mm256_storeu_ps(to + 8, x.high);
}
inline F32 mul(F32 a, F32 b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
inline F32 fma(F32 a, F32 b, F32 c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
inline __m256 rounded_part(__m256 x, float low, float high) {
  const auto whole = _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  return _mm256_min_ps(_mm256_max_ps(whole, _mm256_set1_ps(low)), _mm256_set1_ps(high));
}
inline F32 rounded(F32 x, float low, float high) {
  return {rounded_part(x.low, low, high), rounded_part(x.high, low, high)};
}
inline float half_rounded(float x) { return _cvtsh_ss(_cvtss_sh(x, 0)); }
inline F32 to_float(I32 x) { return {_mm256_cvtepi32_ps(x.low), _mm256_cvtepi32_ps(x.high)}; }
inline F32 larger_magnitude(F32 a, F32 b) {
  const auto sign = _mm256_set1_ps(-0.0f);
  return {_mm256_max_ps(a.low, _mm256_andnot_ps(sign, b.low)),
          _mm256_max_ps(a.high, _mm256_andnot_ps(sign, b.high))};
}
inline float largest_of(F32 x) {
  float all[8];
  _mm256_storeu_ps(all, _mm256_max_ps(x.low, x.high));
  float most = all[0];
  for (const float value : all) most = value > most ? value : most;
  return most;
}
inline float sum_of(F32 x) {
  float all[8];
  _mm256_storeu_ps(all, _mm256_add_ps(x.low, x.high));
  return ((all[0] + all[1]) + (all[2] + all[3])) + ((all[4] + all[5]) + (all[6] + all[7]));
}
inline void prefetch(const void* from) {
  _mm_prefetch(static_cast<const char*>(from), _MM_HINT_T0);
}

inline __m256 widen(__m128i bits) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
inline F32 load_bfloat16(const uint16_t* from) {
  const auto* halves = reinterpret_cast<const __m128i*>(from);
  return {widen(_mm_loadu_si128(halves)), widen(_mm_loadu_si128(halves + 1))};
}
inline F32 load_half(const uint8_t* from) {
  const auto* halves = reinterpret_cast<const __m128i*>(from);
  return {_mm256_cvtph_ps(_mm_loadu_si128(halves)), _mm256_cvtph_ps(_mm_loadu_si128(halves + 1))};
}
inline __m256i rounded_bfloat16(__m256 x) {
  const auto bits = _mm256_castps_si256(x);
  const auto odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const auto rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  return _mm256_srli_epi32(rounded, 16);
}
inline void store_bfloat16(uint16_t* to, F32 x) {
  const auto packed = _mm256_packus_epi32(rounded_bfloat16(x.low), rounded_bfloat16(x.high));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_permute4x64_epi64(packed, 0xd8));
}
inline void store_rounded(int8_t* to, F32 x) {
  int32_t whole[16];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(whole), _mm256_cvtps_epi32(x.low));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(whole + 8), _mm256_cvtps_epi32(x.high));
  for (int i = 0; i < 16; ++i) {
    to[i] = static_cast<int8_t>(whole[i] < -127 ? -127 : whole[i] > 127 ? 127 : whole[i]);
  }
}

inline Bytes load_bytes(const uint8_t* from) {
  const auto* halves = reinterpret_cast<const __m256i*>(from);
  return {_mm256_loadu_si256(halves), _mm256_loadu_si256(halves + 1)};
}
inline Bytes low_halves(Bytes x) {
  const auto mask = _mm256_set1_epi8(15);
  return {_mm256_and_si256(x.low, mask), _mm256_and_si256(x.high, mask)};
}
inline Bytes high_halves(Bytes x) {
  return low_halves({_mm256_srli_epi16(x.low, 4), _mm256_srli_epi16(x.high, 4)});
}
inline I32 load_words(const uint32_t* from) {
  const auto* halves = reinterpret_cast<const __m256i*>(from);
  return {_mm256_loadu_si256(halves), _mm256_loadu_si256(halves + 1)};
}
inline __m256 dot_pairs_half(__m256 sum, __m256i pairs, __m256i x) {
  const auto high = _mm256_set1_epi32(-0x10000);
  sum = _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)),
                        _mm256_castsi256_ps(_mm256_slli_epi32(x, 16)), sum);
  return _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_and_si256(pairs, high)),
                         _mm256_castsi256_ps(_mm256_and_si256(x, high)), sum);
}
inline F32 dot_pairs(F32 sum, I32 pairs, I32 x) {
  return {dot_pairs_half(sum.low, pairs.low, x.low), dot_pairs_half(sum.high, pairs.high, x.high)};
}
inline F32 larger(F32 a, F32 b) {
  return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}
inline __m256 power_part(__m256 n) {
  return _mm256_castsi256_ps(
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}
inline F32 times_power(F32 x, F32 n) { return mul(x, {power_part(n.low), power_part(n.high)}); }
inline void transpose_words(const uint16_t* from, int64_t stride, uint32_t* to, int64_t to_stride) {
  for (int r = 0; r < 16; ++r) {
    uint32_t row[16];
    __builtin_memcpy(row, from + r * stride, sizeof(row));
    for (int c = 0; c < 16; ++c) to[c * to_stride + r] = row[c];
  }
}
inline __m256i dot_half(__m256i sum, __m256i weights, const Word& x) {
  // Even and odd bytes apart, as 16-bit numbers: `maddubs` would saturate.
  const auto even = _mm256_and_si256(weights, _mm256_set1_epi16(0xff));
  const auto odd = _mm256_srli_epi16(weights, 8);
  sum = _mm256_add_epi32(sum, _mm256_madd_epi16(even, x.even));
  return _mm256_add_epi32(sum, _mm256_madd_epi16(odd, x.odd));
}
inline I32 dot(I32 sum, Bytes weights, Word x) {
  return {dot_half(sum.low, weights.low, x), dot_half(sum.high, weights.high, x)};
}

inline __m256i twice(__m256 x) {
  const auto whole = _mm256_cvtps_epi32(x);
  return _mm256_or_si256(_mm256_slli_epi32(whole, 16),
                         _mm256_and_si256(whole, _mm256_set1_epi32(0xffff)));
}
inline Pairs rounded_pairs(F32 x) { return {twice(x.low), twice(x.high)}; }
inline __m256i scaled(__m256i nibbles, __m256i factors) {
  const auto centred = _mm256_xor_si256(_mm256_slli_epi16(nibbles, 4), _mm256_set1_epi8(-128));
  const auto even = _mm256_srai_epi16(_mm256_slli_epi16(centred, 8), 8);
  const auto odd = _mm256_srai_epi16(centred, 8);
  const auto low = _mm256_and_si256(_mm256_mulhrs_epi16(even, factors), _mm256_set1_epi16(0xff));
  const auto high = _mm256_slli_epi16(_mm256_mulhrs_epi16(odd, factors), 8);
  return _mm256_xor_si256(_mm256_or_si256(low, high), _mm256_set1_epi8(-128));
}
inline void store_scaled(uint8_t* to, Bytes nibbles, Pairs factors) {
  auto* halves = reinterpret_cast<__m256i*>(to);
  _mm256_storeu_si256(halves, scaled(nibbles.low, factors.low));
  _mm256_storeu_si256(halves + 1, scaled(nibbles.high, factors.high));
}

}  // namespace
}  // namespace groma::ops::quantized
