#pragma once

#include <ATen/core/Tensor.h>

namespace groma::ops {

enum class WeightType {
  kInt8,  ///< signed bytes, a float scale for each output channel
  kInt4,  ///< -8 to 7, a half scale for every 32 inputs of an output channel: 4.5 bits a weight
};

/// How int4 scales are chosen.
enum class Rounding {
  kNearest,   ///< the number of largest magnitude in a group becomes -8
  kSearched,  ///< the scale of least squared error among those near that
};

/// The matrix of a linear layer in the order in which the kernels read it (see kernels.h): panels
/// of 16 output channels, their number even; padding is zero.
struct PackedWeight {
  WeightType type = WeightType::kInt8;
  int64_t out = 0, in = 0;  ///< without padding
  at::Tensor data;          ///< [panels, bytes of a panel] uint8
  at::Tensor scales;        ///< int8: [panels * 16] float; int4: undefined, they lie in `data`

  bool defined() const { return data.defined(); }
};

/// Bytes of `data` for one panel of `in` inputs.
int64_t panel_bytes(WeightType type, int64_t in);
/// Panels of `out` output channels.
int64_t panel_count(int64_t out);

/// weight    [out, in] float, half or bfloat16, on the CPU
/// throws    c10::Error when it is not a matrix
PackedWeight pack(const at::Tensor& weight, WeightType type,
                  Rounding rounding = Rounding::kSearched);

/// The numbers that a packed weight stands for: [out, in] float, on its device.
at::Tensor unpack(const PackedWeight& packed);

}  // namespace groma::ops
