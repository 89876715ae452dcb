#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "nn/layers.h"

namespace groma {

/// Joins merge x merge neighbouring patches into one vector.
///
/// map      [B, D, grid, grid]
/// returns  [B, (grid / merge)^2, merge^2 * D]; column offset is the outer order, row offset the
/// inner
torch::Tensor merge_patches(const torch::Tensor& map, int64_t merge);

/// Two-layer perceptron from merged patches to the language model's width (`img_txt_bridge`).
struct ProjectorImpl : torch::nn::Module {
  ProjectorImpl(int64_t in, int64_t out);
  torch::Tensor forward(const torch::Tensor& merged);
  nn::Linear first{nullptr}, second{nullptr};  ///< registered as 0 and 2
};
TORCH_MODULE(Projector);

}  // namespace groma
