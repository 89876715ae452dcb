#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

#include "folders.h"

namespace groma::testing {

/// Largest |a - b| over the elements that are finite in both; infinity where only one is finite or
/// the infinities differ, or the shapes do.
inline double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (a.sizes() != b.sizes()) return kInfinity;
  if (a.numel() == 0) return 0;
  const auto x = a.to(at::kDouble), y = b.to(at::kDouble);
  const auto same = x.eq(y);
  const auto finite = x.isfinite().logical_and(y.isfinite());
  if (!same.logical_or(finite).all().item<bool>()) return kInfinity;
  return (x - y).abs().masked_fill(same, 0).max().item<double>();
}

/// Largest finite |a|.
inline double largest_magnitude(const at::Tensor& a) {
  const auto x = a.to(at::kDouble).abs();
  return a.numel() == 0 ? 0 : x.masked_fill(x.isfinite().logical_not(), 0).max().item<double>();
}

}  // namespace groma::testing
