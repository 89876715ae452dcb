#include "ops/quantized_linear/kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace groma::ops::quantized {

int available_kernels(const Kernels* (&list)[kMostSets]) {
  int count = 0;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vnni")) {
    if (__builtin_cpu_supports("avx512bf16")) list[count++] = &kAvx512Bf16Kernels;
    list[count++] = &kAvx512Kernels;
  }
  // Every processor with AVX2 has the half-precision conversions; clang 14 knows no name for them.
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    list[count++] = &kAvx2Kernels;
  }
#endif
  list[count++] = &kPlainKernels;
  return count;
}

bool multiplies_pairs() {
#if defined(__x86_64__)
  constexpr unsigned kFeatures = 7, kAmxBf16 = 1u << 22;  // leaf and bit of edx
  unsigned a = 0, b = 0, c = 0, d = 0;
  const bool tiles = __get_cpuid_count(kFeatures, 0, &a, &b, &c, &d) != 0 && (d & kAmxBf16) != 0;
  const Kernels* list[kMostSets];
  available_kernels(list);
  return list[0] == &kAvx512Bf16Kernels && !tiles;
#else
  return false;
#endif
}

}  // namespace groma::ops::quantized
