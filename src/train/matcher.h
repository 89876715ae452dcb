#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace groma::train {

/// Pairs rows with columns one to one so that the sum of costs is least.
///
/// cost     [rows, columns] floating, finite
/// returns  for each row its column; -1 for rows left over where rows > columns (and columns are
///          left over where columns > rows)
/// throws   c10::Error when the cost is not a matrix or not finite
/// source   Jonker and Volgenant 1987, shortest augmenting paths, as described by Crouse 2016
std::vector<int64_t> assign(const at::Tensor& cost);

}  // namespace groma::train
