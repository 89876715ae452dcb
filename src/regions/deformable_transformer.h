#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/pimpl.h>

#include <array>
#include <vector>

#include "config.h"
#include "nn/layers.h"

// Encoder and decoder of Deformable DETR. Zhu et al. 2021; parameter names as HF DeformableDetr.

namespace groma {

/// Height and width of each feature level.
using LevelShapes = std::vector<std::array<int64_t, 2>>;

/// Multi-scale deformable attention with its projections.
struct DeformableAttentionImpl : torch::nn::Module {
  DeformableAttentionImpl(int64_t d_model, int64_t heads, int64_t levels, int64_t points);

  /// query      [B, Q, d], content plus position
  /// memory     [B, N, d], all levels one after the other
  /// reference  [B, Q, L, 2] points or [B, Q, L, 4] boxes cxcywh, in [0, 1]
  /// returns    [B, Q, d]
  torch::Tensor forward(const torch::Tensor& query, const torch::Tensor& memory,
                        const torch::Tensor& reference, const LevelShapes& shapes);

  int64_t heads, levels, points;
  nn::Linear sampling_offsets{nullptr}, attention_weights{nullptr}, value_proj{nullptr},
      output_proj{nullptr};
};
TORCH_MODULE(DeformableAttention);

struct DeformableEncoderLayerImpl : torch::nn::Module {
  explicit DeformableEncoderLayerImpl(const ProposerConfig& config);
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& position,
                        const torch::Tensor& reference, const LevelShapes& shapes);

  DeformableAttention self_attn{nullptr};
  nn::LayerNorm self_attn_layer_norm{nullptr}, final_layer_norm{nullptr};
  nn::Linear fc1{nullptr}, fc2{nullptr};
};
TORCH_MODULE(DeformableEncoderLayer);

/// Plain attention among the queries.
struct QueryAttentionImpl : torch::nn::Module {
  QueryAttentionImpl(int64_t d_model, int64_t heads);
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& position);

  int64_t heads;
  nn::Linear k_proj{nullptr}, v_proj{nullptr}, q_proj{nullptr}, out_proj{nullptr};
};
TORCH_MODULE(QueryAttention);

struct DeformableDecoderLayerImpl : torch::nn::Module {
  explicit DeformableDecoderLayerImpl(const ProposerConfig& config);
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& position,
                        const torch::Tensor& memory, const torch::Tensor& reference,
                        const LevelShapes& shapes);

  QueryAttention self_attn{nullptr};
  DeformableAttention encoder_attn{nullptr};
  nn::LayerNorm self_attn_layer_norm{nullptr}, encoder_attn_layer_norm{nullptr},
      final_layer_norm{nullptr};
  nn::Linear fc1{nullptr}, fc2{nullptr};
};
TORCH_MODULE(DeformableDecoderLayer);

/// Centre of every cell of every level, seen from every level: [1, N, L, 2] in [0, 1].
torch::Tensor cell_centers(const LevelShapes& shapes);

}  // namespace groma
