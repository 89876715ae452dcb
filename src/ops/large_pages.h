#pragma once

#include <ATen/core/Tensor.h>

namespace groma::ops {

/// Zeros [rows, columns] uint8 in memory of 2 MiB pages where the system has them. Weights that are
/// read in one long sweep come half as fast again as from pages of 4 KiB, whose every end stops the
/// processor's look-ahead.
at::Tensor zeros_in_large_pages(int64_t rows, int64_t columns);

/// The same with the contents of `bytes` [rows, columns] uint8, copied by all threads.
at::Tensor copy_to_large_pages(const at::Tensor& bytes);

}  // namespace groma::ops
