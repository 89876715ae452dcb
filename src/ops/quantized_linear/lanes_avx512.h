// Vectors of 16 numbers in AVX-512 with VNNI. See lanes_plain.h for what each function does.

#include <immintrin.h>

#include <cstdint>

namespace groma::ops::quantized {
namespace {

using F32 = __m512;
using I32 = __m512i;
using Bytes = __m512i;  // 16 x 4
using Word = __m512i;
using Pairs = __m512i;

inline F32 zeros() { return _mm512_setzero_ps(); }
inline F32 spread(float x) { return _mm512_set1_ps(x); }
inline I32 spread(int32_t x) { return _mm512_set1_epi32(x); }
inline Word spread_word(int32_t x) { return _mm512_set1_epi32(x); }
inline F32 load(const float* from) { return _mm512_loadu_ps(from); }
inline void store(float* to, F32 x) { _mm512_storeu_ps(to, x); }
inline F32 mul(F32 a, F32 b) { return _mm512_mul_ps(a, b); }
inline F32 fma(F32 a, F32 b, F32 c) { return _mm512_fmadd_ps(a, b, c); }
inline F32 rounded(F32 x, float low, float high) {
  const auto whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  return _mm512_min_ps(_mm512_max_ps(whole, spread(low)), spread(high));
}
inline float half_rounded(float x) { return _cvtsh_ss(_cvtss_sh(x, 0)); }
inline F32 to_float(I32 x) { return _mm512_cvtepi32_ps(x); }
inline F32 larger_magnitude(F32 a, F32 b) { return _mm512_max_ps(a, _mm512_abs_ps(b)); }
inline float largest_of(F32 x) { return _mm512_reduce_max_ps(x); }
inline float sum_of(F32 x) { return _mm512_reduce_add_ps(x); }
inline void prefetch(const void* from) {
  _mm_prefetch(static_cast<const char*>(from), _MM_HINT_T0);
}

inline F32 load_bfloat16(const uint16_t* from) {
  const auto bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}
inline F32 load_half(const uint8_t* from) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
inline void store_bfloat16(uint16_t* to, F32 x) {
#ifdef __AVX512BF16__
  __m256i half;
  asm("vcvtneps2bf16 %1, %0" : "=v"(half) : "v"(x));
#else
  const auto bits = _mm512_castps_si512(x);
  const auto odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const auto rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const auto half = _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16));
#endif
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), half);
}
inline void store_rounded(int8_t* to, F32 x) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(x)));
}

inline Bytes load_bytes(const uint8_t* from) { return _mm512_loadu_si512(from); }
inline Bytes low_halves(Bytes x) { return _mm512_and_si512(x, _mm512_set1_epi8(15)); }
inline Bytes high_halves(Bytes x) {
  return _mm512_and_si512(_mm512_srli_epi16(x, 4), _mm512_set1_epi8(15));
}
inline I32 load_words(const uint32_t* from) { return _mm512_loadu_si512(from); }
inline F32 dot_pairs(F32 sum, I32 pairs, I32 x) {
#ifdef __AVX512BF16__
  asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(pairs), "v"(x));  // see `dot` below
  return sum;
#else
  const auto high = _mm512_set1_epi32(-0x10000);
  sum = fma(_mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)),
            _mm512_castsi512_ps(_mm512_slli_epi32(x, 16)), sum);
  return fma(_mm512_castsi512_ps(_mm512_and_si512(pairs, high)),
             _mm512_castsi512_ps(_mm512_and_si512(x, high)), sum);
#endif
}
inline F32 larger(F32 a, F32 b) { return _mm512_max_ps(a, b); }
inline F32 times_power(F32 x, F32 n) { return _mm512_scalef_ps(x, n); }
inline void transpose_words(const uint16_t* from, int64_t stride, uint32_t* to, int64_t to_stride) {
  __m512i rows[16], pairs[16];
  for (int r = 0; r < 16; ++r) rows[r] = _mm512_loadu_si512(from + r * stride);
  for (int r = 0; r < 16; r += 2) {  // 2 x 2 words within each 128 bits
    pairs[r] = _mm512_unpacklo_epi32(rows[r], rows[r + 1]);
    pairs[r + 1] = _mm512_unpackhi_epi32(rows[r], rows[r + 1]);
  }
  for (int r = 0; r < 16; r += 4) {  // 4 x 4
    for (int half = 0; half < 2; ++half) {
      rows[r + 2 * half] = _mm512_unpacklo_epi64(pairs[r + half], pairs[r + 2 + half]);
      rows[r + 2 * half + 1] = _mm512_unpackhi_epi64(pairs[r + half], pairs[r + 2 + half]);
    }
  }
  for (int c = 0; c < 4; ++c) {  // the 128 bits of four groups of rows side by side
    const auto low = _mm512_shuffle_i32x4(rows[c], rows[4 + c], 0x88);
    const auto low_odd = _mm512_shuffle_i32x4(rows[c], rows[4 + c], 0xdd);
    const auto high = _mm512_shuffle_i32x4(rows[8 + c], rows[12 + c], 0x88);
    const auto high_odd = _mm512_shuffle_i32x4(rows[8 + c], rows[12 + c], 0xdd);
    _mm512_storeu_si512(to + c * to_stride, _mm512_shuffle_i32x4(low, high, 0x88));
    _mm512_storeu_si512(to + (4 + c) * to_stride, _mm512_shuffle_i32x4(low_odd, high_odd, 0x88));
    _mm512_storeu_si512(to + (8 + c) * to_stride, _mm512_shuffle_i32x4(low, high, 0xdd));
    _mm512_storeu_si512(to + (12 + c) * to_stride, _mm512_shuffle_i32x4(low_odd, high_odd, 0xdd));
  }
}
inline I32 dot(I32 sum, Bytes weights, Word x) {
  // gcc 12 surrounds the intrinsic with copies of the sums, which takes half of the speed.
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(weights), "v"(x));
  return sum;
}

inline Pairs rounded_pairs(F32 x) {
  const auto whole = _mm512_cvtps_epi32(x);
  return _mm512_or_si512(_mm512_slli_epi32(whole, 16),
                         _mm512_and_si512(whole, _mm512_set1_epi32(0xffff)));
}
inline void store_scaled(uint8_t* to, Bytes nibbles, Pairs factors) {
  // (q - 8) * 16 as signed bytes, then as 16-bit numbers: the even bytes and the odd ones.
  const auto centred = _mm512_xor_si512(_mm512_slli_epi16(nibbles, 4), _mm512_set1_epi8(-128));
  const auto even = _mm512_srai_epi16(_mm512_slli_epi16(centred, 8), 8);
  const auto odd = _mm512_srai_epi16(centred, 8);
  const auto low = _mm512_and_si512(_mm512_mulhrs_epi16(even, factors), _mm512_set1_epi16(0xff));
  const auto high = _mm512_slli_epi16(_mm512_mulhrs_epi16(odd, factors), 8);
  _mm512_storeu_si512(to, _mm512_xor_si512(_mm512_or_si512(low, high), _mm512_set1_epi8(-128)));
}

}  // namespace
}  // namespace groma::ops::quantized
