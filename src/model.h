#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <vector>

#include "config.h"
#include "language/llama.h"
#include "regions/proposer.h"
#include "regions/region_encoder.h"
#include "vision/dinov2.h"
#include "vision/projector.h"

// The whole network. Letters used in shapes throughout:
//   B batch, S image side in pixels, N patches or cells, Q queries, R regions, L levels, P points,
//   H W map height and width (H also the language model's width where no map is near),
//   C channels, D vision width, d detector width, T positions of text, V vocabulary.

namespace groma {

/// Embeds token ids: those of the language model, and Groma's new ones after them.
struct GromaModelImpl : torch::nn::Module {
  explicit GromaModelImpl(const ModelConfig& config);

  /// pixels [B, 3, S, S] -> the last four hidden states, each [B, 1 + N, D]
  std::vector<torch::Tensor> see(const torch::Tensor& pixels);

  /// Boxes for everything that may be an object, in float whatever the model's dtype.
  Proposals propose(const std::vector<torch::Tensor>& hidden);
  /// The proposer's input: mean of the four hidden states, [B, D, grid, grid] float.
  static torch::Tensor proposer_input(const std::vector<torch::Tensor>& hidden);

  /// [B, image tokens, H]
  torch::Tensor image_tokens(const std::vector<torch::Tensor>& hidden);
  /// The merged patches before the projector, [B, image tokens, merge^2 * D].
  torch::Tensor merged_patches(const std::vector<torch::Tensor>& hidden) const;

  /// The maps that regions are read from, three of [B, C, side, side].
  std::vector<torch::Tensor> fuse_maps(const std::vector<torch::Tensor>& hidden);

  /// One token per box of a single image.   boxes [R, 4] cxcywh in [0, 1] -> [R, H]
  ///
  /// placed_cxcywh  [R, 4] where the tokens say that the boxes are, when it is not where the maps
  ///                show them
  torch::Tensor region_tokens(const std::vector<torch::Tensor>& maps,
                              const torch::Tensor& boxes_cxcywh,
                              const torch::Tensor& placed_cxcywh = {});

  /// ids [T] int64 -> [T, H]
  torch::Tensor embed(const torch::Tensor& ids);

  /// hidden [T, H] after the final norm -> [T, V] float, the new tokens after the old vocabulary
  torch::Tensor logits(const torch::Tensor& hidden);

  ModelConfig config;
  Dinov2 vis_encoder{nullptr};                ///< perceiver.vis_encoder
  torch::nn::ModuleList input_proj{nullptr};  ///< perceiver.input_proj
  Proposer proposer{nullptr};                 ///< perceiver.ddetr_transformer
  Projector img_txt_bridge{nullptr};
  RegionEncoder region_encoder{nullptr};
  Llama llm{nullptr};           ///< llm.model
  nn::Linear lm_head{nullptr};  ///< llm.lm_head
  nn::Linear extra_lm_head{nullptr};
  nn::Embedding new_input_embs{nullptr};
};
TORCH_MODULE(GromaModel);

/// Whether a parameter computes in float whatever the model's dtype: the proposer, whose discrete
/// choices would flip.
bool computes_in_float(const std::string& parameter);

}  // namespace groma
