#include "vision/projector.h"

#include <ATen/ATen.h>

namespace groma {

torch::Tensor merge_patches(const torch::Tensor& map, int64_t merge) {
  const auto side = map.size(2) / merge;
  // [B, D, row, row offset, column, column offset] -> [B, row, column, column offset, row offset,
  // D]
  return map.unflatten(3, {side, merge})
      .unflatten(2, {side, merge})
      .permute({0, 2, 4, 5, 3, 1})
      .reshape({map.size(0), side * side, merge * merge * map.size(1)});
}

ProjectorImpl::ProjectorImpl(int64_t in, int64_t out) {
  first = register_module("0", nn::Linear(in, out));
  second = register_module("2", nn::Linear(out, out));
}

torch::Tensor ProjectorImpl::forward(const torch::Tensor& merged) {
  return second(at::gelu(first(merged)));
}

}  // namespace groma
