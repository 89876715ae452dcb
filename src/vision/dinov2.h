#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/pimpl.h>

#include <vector>

#include "config.h"
#include "nn/layers.h"

// DINOv2 vision transformer. Oquab et al. 2023; parameter names as HF Dinov2Model.

namespace groma {

/// Cuts an image into patches and adds [CLS] and position embeddings.
struct Dinov2EmbeddingsImpl : torch::nn::Module {
  explicit Dinov2EmbeddingsImpl(const VisionConfig& config);
  /// pixels [B, 3, S, S] -> [B, 1 + N, D]
  torch::Tensor forward(const torch::Tensor& pixels);
  /// The stored table, resized to grid x grid patches: [1, 1 + grid^2, D]
  torch::Tensor positions(int64_t grid) const;

  torch::Tensor cls_token, mask_token, position_embeddings;
  nn::Conv2d projection{nullptr};  ///< registered as patch_embeddings.projection
};
TORCH_MODULE(Dinov2Embeddings);

/// One pre-norm block with layer scale.
struct Dinov2LayerImpl : torch::nn::Module {
  explicit Dinov2LayerImpl(const VisionConfig& config);
  torch::Tensor forward(const torch::Tensor& x);
  torch::Tensor attend(const torch::Tensor& x);

  int64_t heads;
  nn::LayerNorm norm1{nullptr}, norm2{nullptr};
  nn::Linear query{nullptr}, key{nullptr}, value{nullptr}, dense{nullptr}, fc1{nullptr},
      fc2{nullptr};
  torch::Tensor lambda1, lambda2;  ///< layer_scale1.lambda1, layer_scale2.lambda1
};
TORCH_MODULE(Dinov2Layer);

struct Dinov2Impl : torch::nn::Module {
  explicit Dinov2Impl(const VisionConfig& config);

  /// How many of the last hidden states the later stages read.
  static constexpr int64_t kKept = 4;

  /// pixels   [B, 3, S, S]
  /// returns  the last kKept block outputs, each [B, 1 + N, D], without the final norm
  std::vector<torch::Tensor> forward(const torch::Tensor& pixels);

  Dinov2Embeddings embeddings{nullptr};
  torch::nn::ModuleList layer{nullptr};  ///< registered as encoder.layer
  nn::LayerNorm layernorm{nullptr};      ///< in every checkpoint, read by no later stage
};
TORCH_MODULE(Dinov2);

/// Drops [CLS] and lays the patches out as a map: [B, 1 + N, D] -> [B, D, grid, grid], channels
/// last.
torch::Tensor patches_as_map(const torch::Tensor& hidden);

}  // namespace groma
