#include "ops/quantized_linear/kernels.h"

namespace groma::ops::quantized {

int available_kernels(const Kernels* (&list)[3]) {
  int count = 0;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vnni")) {
    list[count++] = &kAvx512Kernels;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("f16c")) {
    list[count++] = &kAvx2Kernels;
  }
#endif
  list[count++] = &kPlainKernels;
  return count;
}

}  // namespace groma::ops::quantized
