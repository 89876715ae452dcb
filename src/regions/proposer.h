#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/pimpl.h>

#include <vector>

#include "config.h"
#include "nn/layers.h"
#include "regions/deformable_transformer.h"

// The two-stage, class-agnostic box proposer. Reference groma/model/ddetr_transformer.py.

namespace groma {

/// All that the proposer computes; training reads every layer, inference the last fields.
struct Proposals {
  LevelShapes shapes;                     ///< of the L feature levels, finest first
  std::vector<torch::Tensor> encoder;     ///< output of each encoder layer, [B, N, d]
  torch::Tensor encoder_scores;           ///< [B, N, 1] logits of the first stage
  torch::Tensor encoder_boxes;            ///< [B, N, 4] cxcywh logits; +inf for cells at the border
  torch::Tensor top_cells;                ///< [B, Q] int64, the cells that became queries
  torch::Tensor initial;                  ///< [B, Q, 4] cxcywh in [0, 1], where all layers look
  torch::Tensor box_embedding;            ///< [B, Q, 2d]
  torch::Tensor query_position;           ///< [B, Q, d]
  std::vector<torch::Tensor> decoder;     ///< output of each decoder layer, [B, Q, d]
  std::vector<torch::Tensor> references;  ///< of each layer, [B, Q, 4]: its own box from `initial`
  torch::Tensor coco_logits;              ///< [B, Q, 1] of the last layer
  torch::Tensor sa1b_logits;              ///< [B, Q, 1]
  torch::Tensor boxes_cxcywh;             ///< [B, Q, 4] in [0, 1]
};

/// Patches to one feature map of the proposer, at a multiple of the patch grid.
struct InputProjectionImpl : torch::nn::Module {
  /// step: -1 halves the grid, 0 keeps it, 1 and 2 double it once and twice
  InputProjectionImpl(int64_t in, int64_t d_model, int64_t step);
  /// [B, D, grid, grid] -> [B, d, H, W]
  torch::Tensor forward(torch::Tensor x);

  int64_t step;
  nn::Conv2d halve{nullptr}, project{nullptr}, smooth{nullptr};
  nn::ConvTranspose2d grow{nullptr}, grow_again{nullptr};
  nn::LayerNorm2d grow_norm{nullptr}, norm{nullptr};
};
TORCH_MODULE(InputProjection);

/// Three-layer box head.
struct BoxHeadImpl : torch::nn::Module {
  BoxHeadImpl(int64_t d_model, int64_t hidden);
  torch::Tensor forward(const torch::Tensor& x);
  torch::nn::ModuleList layers{nullptr};
};
TORCH_MODULE(BoxHead);

/// Inverse sigmoid, safe at 0 and 1.
torch::Tensor box_logits(const torch::Tensor& boxes_cxcywh);

struct ProposerImpl : torch::nn::Module {
  explicit ProposerImpl(const ProposerConfig& config);

  /// sources  per level [B, d, H, W], finest first
  Proposals forward(const std::vector<torch::Tensor>& sources);

  /// Box logits of decoder layer `l` as the last layer would refine them: from layer l - 1's
  /// reference (from `initial` for l = 0).  [B, Q, 4]
  torch::Tensor refined_boxes(const Proposals& proposals, int64_t l);

  ProposerConfig config;
  torch::nn::ModuleList encoder_layers{nullptr}, decoder_layers{nullptr};
  torch::nn::ModuleList class_embed_coco{nullptr}, class_embed_sa1b{nullptr}, bbox_embed{nullptr};
  nn::Linear class_embed_enc{nullptr}, enc_output{nullptr}, pos_trans{nullptr};
  nn::LayerNorm enc_output_norm{nullptr}, pos_trans_norm{nullptr};
  nn::Embedding query_position_embeddings{nullptr};
  torch::Tensor level_embed;

 private:
  torch::Tensor encode(const std::vector<torch::Tensor>& sources, Proposals& out);
  void choose_queries(const torch::Tensor& memory, Proposals& out);
  void decode(const torch::Tensor& memory, Proposals& out);
};
TORCH_MODULE(Proposer);

/// First-stage boxes, one per cell: centre of the cell, side 0.05 * 2^level, as logits.
///
/// returns  [1, N, 4]; +inf where any of the four leaves (0.01, 0.99), and the mask of valid cells
///          [1, N, 1]
std::pair<torch::Tensor, torch::Tensor> grid_proposals(const LevelShapes& shapes);

}  // namespace groma
