#include "ops/quantized_linear/lanes_avx2.h"
// The lanes come first: the body is written in terms of them.
#include "ops/quantized_linear/kernels_body.h"

namespace groma::ops::quantized {

const Kernels kAvx2Kernels = kernels_named("avx2");

}  // namespace groma::ops::quantized
