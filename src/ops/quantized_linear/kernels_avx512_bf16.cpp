#include "ops/quantized_linear/lanes_avx512.h"
// The lanes come first: the body is written in terms of them.
#include "ops/quantized_linear/kernels_body.h"

namespace groma::ops::quantized {

const Kernels kAvx512Bf16Kernels = kernels_named("avx512_bf16");

}  // namespace groma::ops::quantized
