// Vectors of 16 numbers in plain C++, for any processor; the other lanes_*.h do the same.

#include <cstdint>

namespace groma::ops::quantized {
namespace {

struct F32 {
  float lane[16];
};
struct I32 {
  int32_t lane[16];
};
struct Bytes {
  uint8_t byte[64];
};
struct Word {
  int8_t byte[4];
};
using Pairs = I32;  // factors as they are; vector versions hold each twice, as 16-bit numbers

template <typename Lanes, typename Value>
inline Lanes for_lanes(Value value) {
  Lanes out;
  for (int i = 0; i < 16; ++i) out.lane[i] = value(i);
  return out;
}

inline F32 spread(float x) {
  return for_lanes<F32>([&](int) { return x; });
}
inline I32 spread(int32_t x) {
  return for_lanes<I32>([&](int) { return x; });
}
inline F32 zeros() { return spread(0.0f); }
inline Word spread_word(int32_t x) {
  Word word;
  __builtin_memcpy(word.byte, &x, sizeof(x));
  return word;
}
inline F32 load(const float* from) {
  return for_lanes<F32>([&](int i) { return from[i]; });
}
inline void store(float* to, F32 x) { __builtin_memcpy(to, x.lane, sizeof(x.lane)); }
inline F32 mul(F32 a, F32 b) {
  return for_lanes<F32>([&](int i) { return a.lane[i] * b.lane[i]; });
}
/// a * b + c
inline F32 fma(F32 a, F32 b, F32 c) {
  return for_lanes<F32>([&](int i) { return a.lane[i] * b.lane[i] + c.lane[i]; });
}
inline int32_t round_even(float x) {
  constexpr float kShift = 0x1.8p23f;  // pushes the fraction out; |x| is far below it
  return static_cast<int32_t>((x + kShift) - kShift);
}
/// To the nearest whole number, between low and high.
inline F32 rounded(F32 x, float low, float high) {
  return for_lanes<F32>([&](int i) {
    const float inside = x.lane[i] < low ? low : x.lane[i] > high ? high : x.lane[i];
    return static_cast<float>(round_even(inside));
  });
}
/// To the nearest number of half precision.
inline float half_rounded(float x) {
  const float magnitude = x < 0 ? -x : x;
  if (magnitude < 0x1p-14f) {  // steps of 2^-24
    constexpr float kShift = 0x1.8p-1f;
    const float stepped = (magnitude + kShift) - kShift;
    return x < 0 ? -stepped : stepped;
  }
  uint32_t bits;
  __builtin_memcpy(&bits, &magnitude, sizeof(bits));
  bits = (bits + 0xfffu + (bits >> 13 & 1u)) & ~0x1fffu;
  float value;
  __builtin_memcpy(&value, &bits, sizeof(value));
  if (value > 65504.0f) value = __builtin_inff();
  return x < 0 ? -value : value;
}
inline F32 to_float(I32 x) {
  return for_lanes<F32>([&](int i) { return static_cast<float>(x.lane[i]); });
}
/// max(a, |b|), a where b is not a number
inline F32 larger_magnitude(F32 a, F32 b) {
  return for_lanes<F32>([&](int i) {
    const float magnitude = b.lane[i] < 0 ? -b.lane[i] : b.lane[i];
    return magnitude > a.lane[i] ? magnitude : a.lane[i];
  });
}
inline float largest_of(F32 x) {
  float most = x.lane[0];
  for (const float value : x.lane) most = value > most ? value : most;
  return most;
}
inline float sum_of(F32 x) {
  for (int width = 8; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) x.lane[i] += x.lane[i + width];
  }
  return x.lane[0];
}
inline void prefetch(const void* from) { __builtin_prefetch(from); }

inline F32 load_bfloat16(const uint16_t* from) {
  return for_lanes<F32>([&](int i) {
    const uint32_t bits = static_cast<uint32_t>(from[i]) << 16;
    float value;
    __builtin_memcpy(&value, &bits, sizeof(value));
    return value;
  });
}
inline float float_of_half(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t exponent = half >> 10 & 0x1fu, fraction = half & 0x3ffu;
  if (exponent == 0) {
    const float value = static_cast<float>(fraction) * 0x1p-24f;
    return sign ? -value : value;
  }
  const uint32_t wide = exponent == 0x1f ? 0xff : exponent + 112;
  const uint32_t bits = sign | wide << 23 | fraction << 13;
  float value;
  __builtin_memcpy(&value, &bits, sizeof(value));
  return value;
}
/// 16 numbers in half precision.
inline F32 load_half(const uint8_t* from) {
  uint16_t halves[16];
  __builtin_memcpy(halves, from, sizeof(halves));
  return for_lanes<F32>([&](int i) { return float_of_half(halves[i]); });
}
inline void store_bfloat16(uint16_t* to, F32 x) {
  for (int i = 0; i < 16; ++i) {
    uint32_t bits;
    __builtin_memcpy(&bits, &x.lane[i], sizeof(bits));
    to[i] = static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
  }
}
/// To the nearest signed byte.
inline void store_rounded(int8_t* to, F32 x) {
  for (int i = 0; i < 16; ++i) {
    const float value = x.lane[i] < -127 ? -127 : x.lane[i] > 127 ? 127 : x.lane[i];
    to[i] = static_cast<int8_t>(round_even(value));
  }
}

inline Bytes load_bytes(const uint8_t* from) {
  Bytes bytes;
  __builtin_memcpy(bytes.byte, from, sizeof(bytes.byte));
  return bytes;
}
inline Bytes low_halves(Bytes x) {
  for (auto& byte : x.byte) byte &= 15;
  return x;
}
inline Bytes high_halves(Bytes x) {
  for (auto& byte : x.byte) byte = static_cast<uint8_t>(byte >> 4);
  return x;
}
inline I32 load_words(const uint32_t* from) {
  I32 words;
  __builtin_memcpy(words.lane, from, sizeof(words.lane));
  return words;
}
inline float float_of_bits(uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, sizeof(value));
  return value;
}
/// Adds to each sum the two products of its pair of bfloat16 numbers with that of x.
inline F32 dot_pairs(F32 sum, I32 pairs, I32 x) {
  return for_lanes<F32>([&](int i) {
    const auto a = static_cast<uint32_t>(pairs.lane[i]), b = static_cast<uint32_t>(x.lane[i]);
    const float low = float_of_bits(a << 16) * float_of_bits(b << 16);
    return sum.lane[i] + low + float_of_bits(a & 0xffff0000u) * float_of_bits(b & 0xffff0000u);
  });
}
/// max(a, b), b where one is not a number
inline F32 larger(F32 a, F32 b) {
  return for_lanes<F32>([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
/// x * 2^n for whole n from -127 to 127; 0 for -127
inline F32 times_power(F32 x, F32 n) {
  return for_lanes<F32>([&](int i) {
    return x.lane[i] *
           float_of_bits(static_cast<uint32_t>(static_cast<int>(n.lane[i]) + 127) << 23);
  });
}
/// 16 rows of 16 words, `stride` numbers apart: word c of row r to to[c * to_stride + r].
inline void transpose_words(const uint16_t* from, int64_t stride, uint32_t* to, int64_t to_stride) {
  for (int r = 0; r < 16; ++r) {
    uint32_t row[16];
    __builtin_memcpy(row, from + r * stride, sizeof(row));
    for (int c = 0; c < 16; ++c) to[c * to_stride + r] = row[c];
  }
}
/// Adds to each sum the products of its four weights with the four bytes of x.
inline I32 dot(I32 sum, Bytes weights, Word x) {
  for (int i = 0; i < 16; ++i) {
    for (int k = 0; k < 4; ++k) sum.lane[i] += weights.byte[i * 4 + k] * x.byte[k];
  }
  return sum;
}

/// Factors for `store_scaled`, whole numbers below 2^15.
inline Pairs rounded_pairs(F32 x) {
  return for_lanes<Pairs>([&](int i) { return round_even(x.lane[i]); });
}
/// round((q - 8) * 16 * factor / 2^15) + 128 for the four nibbles q of each lane.
inline void store_scaled(uint8_t* to, Bytes nibbles, Pairs factors) {
  for (int i = 0; i < 64; ++i) {
    const int32_t product = (nibbles.byte[i] - 8) * 16 * factors.lane[i / 4];
    to[i] = static_cast<uint8_t>(((product + 0x4000) >> 15) + 128);
  }
}

}  // namespace
}  // namespace groma::ops::quantized
