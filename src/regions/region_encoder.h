#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/pimpl.h>

#include <vector>

#include "config.h"
#include "nn/layers.h"

// Region tokens: fused maps, RoIAlign, one vector per box. Reference groma/model/roi_align.py.

namespace groma {

/// One fuse round: a convolution shared by the three levels, group norm, ReLU.
struct FuseConvImpl : torch::nn::Module {
  FuseConvImpl(int64_t channels, int64_t groups);
  /// maps  of [B, C, H, W], as are the results
  std::vector<torch::Tensor> forward(const std::vector<torch::Tensor>& maps);
  nn::Conv2d conv{nullptr};
  nn::GroupNorm gn{nullptr};
};
TORCH_MODULE(FuseConv);

/// Brings three hidden states to three map sizes and lets them exchange channels.
struct MapFusionImpl : torch::nn::Module {
  MapFusionImpl(int64_t in, const RegionConfig& config);

  /// maps     three of [B, D, grid, grid], oldest block first (it becomes the finest map)
  /// returns  three of [B, C, scale * grid, scale * grid], channels last
  std::vector<torch::Tensor> forward(const std::vector<torch::Tensor>& maps);

  std::vector<double> scales;
  torch::nn::ModuleList input_conv{nullptr}, fuse_convs{nullptr};

 private:
  torch::Tensor enter(const torch::Tensor& map, size_t level);
};
TORCH_MODULE(MapFusion);

/// Pools boxes from the fused maps and makes one vector of each.
struct RegionPoolImpl : torch::nn::Module {
  RegionPoolImpl(const RegionConfig& config, const VisionConfig& vision, int64_t out);

  /// Boxes as RoIAlign takes them, [R, 5], for the configured geometry.
  torch::Tensor rois(const torch::Tensor& boxes_cxcywh, const torch::Tensor& batch_index) const;
  /// RoIAlign on level `l`: [R, C, roi, roi]
  torch::Tensor pool(const torch::Tensor& map, const torch::Tensor& rois, size_t l) const;
  /// Sum of the levels' convolutions, [R, C, roi, roi].
  torch::Tensor convolve(const std::vector<torch::Tensor>& pooled);
  /// Pooled levels to [R, region_hidden], before the box embedding.
  torch::Tensor flatten(const std::vector<torch::Tensor>& pooled);
  /// boxes_cxcywh [R, 4] in [0, 1] -> [R, region_hidden]
  torch::Tensor embed_boxes(const torch::Tensor& boxes_cxcywh);

  /// maps          three of [B, C, H, W]
  /// boxes_cxcywh  [R, 4] in [0, 1]; batch_index [R] says whose image each box belongs to
  /// placed_cxcywh [R, 4] what the tokens say of the boxes' places, where it is not boxes_cxcywh
  /// returns       [R, H] region tokens
  torch::Tensor forward(const std::vector<torch::Tensor>& maps, const torch::Tensor& boxes_cxcywh,
                        const torch::Tensor& batch_index, const torch::Tensor& placed_cxcywh = {});

  RegionConfig config;
  int64_t image_size, patch;
  torch::nn::ModuleList pconvs{nullptr};
  nn::Linear position_in{nullptr}, position_out{nullptr};               ///< pos_embedd.0 and .3
  nn::LayerNorm position_in_norm{nullptr}, position_out_norm{nullptr};  ///< .2 and .5
  nn::Linear flatten_linear{nullptr}, updims{nullptr};
};
TORCH_MODULE(RegionPool);

struct RegionEncoderImpl : torch::nn::Module {
  RegionEncoderImpl(const RegionConfig& config, const VisionConfig& vision, int64_t out);
  MapFusion mlvl_fuse{nullptr};
  RegionPool roi_align{nullptr};
};
TORCH_MODULE(RegionEncoder);

}  // namespace groma
