#include "ops/quantized_linear/lanes_plain.h"
// The lanes come first: the body is written in terms of them.
#include "ops/quantized_linear/kernels_body.h"

namespace groma::ops::quantized {

const Kernels kPlainKernels = kernels_named("plain");

}  // namespace groma::ops::quantized
