#include "regions/region_encoder.h"

#include <ATen/ATen.h>
#include <ATen/OpMathType.h>

#include <algorithm>
#include <cmath>

#include "nn/group.h"
#include "ops/roi_align/roi_align.h"
#include "ops/winograd_conv.h"
#include "regions/boxes.h"

namespace groma {
namespace {

constexpr size_t kLevels = 3;
constexpr int64_t kSampling = 2;  // samples a side of each RoIAlign cell

torch::Tensor resize(const torch::Tensor& x, int64_t height, int64_t width) {
  if (x.size(2) == height && x.size(3) == width) return x;
  return at::upsample_bilinear2d(x, {height, width}, /*align_corners=*/true);
}

/// x and y in [-1, 1] of each cell: [1, 2, height, width]
torch::Tensor coordinates(int64_t height, int64_t width, at::TensorOptions options) {
  const auto x = at::linspace(-1, 1, width, options);
  const auto y = at::linspace(-1, 1, height, options);
  return at::stack({x.unsqueeze(0).expand({height, width}), y.unsqueeze(1).expand({height, width})})
      .unsqueeze(0);
}

/// Numbers of the cells in whose 3x3 window any of the maps holds something, ascending.
///
/// maps  of [R, C, height, width]
torch::Tensor cells_that_see(const std::vector<torch::Tensor>& maps) {
  torch::Tensor holds;
  for (const auto& map : maps) {
    const auto own = map.detach().ne(0).any(1, /*keepdim=*/true);
    holds = holds.defined() ? holds.logical_or(own) : own;
  }
  const auto sees = at::max_pool2d(holds.to(at::kFloat), 3, 1, 1);
  return sees.flatten().nonzero().squeeze(1);
}

/// A 3x3 convolution with padding at some cells alone, [cells, out].
///
/// x      [R, C, height, width]
/// cells  numbers of cells, [cells]
torch::Tensor convolve_at(const nn::Conv2dImpl& conv, const torch::Tensor& x,
                          const torch::Tensor& cells) {
  constexpr int64_t kSide = 3, kTogether = 2048;  // cells: their windows take 9 C numbers each
  const auto channels = x.size(1), height = x.size(2), width = x.size(3), wide = width + kSide - 1;
  const auto table = at::constant_pad_nd(x.permute({0, 2, 3, 1}), {0, 0, 1, 1, 1, 1})
                         .contiguous()
                         .view({-1, channels});
  const auto region = cells.div(height * width, "floor"), place = cells - region * height * width;
  const auto row = place.div(width, "floor"), column = place - row * width;
  const auto corner = (region * (height + kSide - 1) + row) * wide + column;
  const auto steps = at::arange(kSide, cells.options());
  const auto window = (steps.unsqueeze(1) * wide + steps).flatten();
  const auto matrix = conv.weight.permute({0, 2, 3, 1}).reshape({conv.weight.size(0), -1});
  std::vector<torch::Tensor> results;
  for (const auto& some : corner.split(kTogether)) {
    const auto from = (some.unsqueeze(1) + window).flatten();
    results.push_back(
        at::linear(table.index_select(0, from).view({some.size(0), -1}), matrix, conv.bias));
  }
  return at::cat(results);
}

}  // namespace

FuseConvImpl::FuseConvImpl(int64_t channels, int64_t groups) {
  conv = register_module("conv", nn::Conv2d(channels, channels, 3, 1, 1, /*with_bias=*/false));
  gn = register_module("gn", nn::GroupNorm(groups, channels));
}

std::vector<torch::Tensor> FuseConvImpl::forward(const std::vector<torch::Tensor>& maps) {
  std::vector<torch::Tensor> results;
  if (ops::takes_winograd(maps, conv->weight)) {
    results = ops::winograd_conv(maps, conv->weight);
  } else {
    for (const auto& map : maps) results.push_back(conv(map));
  }
  for (auto& map : results) map = gn(map).relu_();
  return results;
}

MapFusionImpl::MapFusionImpl(int64_t in, const RegionConfig& config) : scales(config.scales) {
  input_conv = register_module("input_conv", torch::nn::ModuleList());
  for (size_t l = 0; l < kLevels; ++l) {
    input_conv->push_back(nn::Conv2d(in + 2, config.channels, 1));
  }
  fuse_convs = register_module("fuse_convs", torch::nn::ModuleList());
  for (int64_t i = 0; i < config.rounds; ++i) {
    fuse_convs->push_back(FuseConv(config.channels, config.groups));
  }
}

torch::Tensor MapFusionImpl::enter(const torch::Tensor& map, size_t level) {
  // The reference resizes the features, appends coordinates and convolves. A 1x1 convolution
  // commutes with a linear resize, so the features are convolved at the small size.
  const auto& conv = *input_conv[level]->as<nn::Conv2d>();
  const auto in = map.size(1);
  const auto side = static_cast<int64_t>(std::lround(scales[level] * map.size(2)));
  const auto features = at::conv2d(map, conv.weight.narrow(1, 0, in));
  const auto wide = at::toOpMathType(map.scalar_type());
  const auto grid = coordinates(side, side, map.options().dtype(wide));
  const auto placed =
      at::linear(grid.permute({0, 2, 3, 1}), conv.weight.narrow(1, in, 2).flatten(1).to(wide),
                 conv.bias.to(wide))
          .permute({0, 3, 1, 2});  // channels last, as the features are
  return resize(features, side, side) + placed.to(map.scalar_type());  // [B, C, side, side]
}

std::vector<torch::Tensor> MapFusionImpl::forward(const std::vector<torch::Tensor>& maps) {
  TORCH_CHECK(maps.size() == kLevels, "map fusion: ", maps.size(), " maps, expected ", kLevels);
  std::vector<torch::Tensor> levels;
  for (size_t l = 0; l < kLevels; ++l) {
    levels.push_back(enter(maps[l], l).contiguous(at::MemoryFormat::ChannelsLast));
  }
  for (const auto& round : *fuse_convs) {
    std::vector<torch::Tensor> mixed;
    for (size_t l = 0; l < kLevels; ++l) {
      const auto& own = levels[l];
      const auto channels = own.size(1), quarter = channels / 4, stays = channels - 2 * quarter;
      const auto& coarser = levels[std::min(l + 1, kLevels - 1)];
      const auto& finer = levels[l == 0 ? 0 : l - 1];
      const auto height = own.size(2), width = own.size(3);
      mixed.push_back(at::cat({own.narrow(1, 0, stays),
                               resize(coarser.narrow(1, stays + quarter, quarter), height, width),
                               resize(finer.narrow(1, stays, quarter), height, width)},
                              1));
    }
    levels = round->as<FuseConv>()->forward(mixed);
  }
  return levels;
}

RegionPoolImpl::RegionPoolImpl(const RegionConfig& config, const VisionConfig& vision, int64_t out)
    : config(config), image_size(vision.image_size), patch(vision.patch) {
  constexpr double kNormEps = 1e-5;
  const auto cells = config.roi_size * config.roi_size;
  pconvs = register_module("pconvs", torch::nn::ModuleList());
  for (size_t l = 0; l < kLevels; ++l) {
    pconvs->push_back(nn::Conv2d(config.channels, config.channels, 3, 1, 1));
  }
  auto& position = nn::group(*this, "pos_embedd");
  position_in = position.register_module("0", nn::Linear(4, config.position_hidden));
  position_in_norm = position.register_module("2", nn::LayerNorm(config.position_hidden, kNormEps));
  position_out =
      position.register_module("3", nn::Linear(config.position_hidden, config.region_hidden));
  position_out_norm = position.register_module("5", nn::LayerNorm(config.region_hidden, kNormEps));
  flatten_linear =
      register_module("flatten_linear", nn::Linear(config.channels * cells, config.region_hidden));
  updims = register_module("updims", nn::Linear(config.region_hidden, out));
}

torch::Tensor RegionPoolImpl::rois(const torch::Tensor& boxes_cxcywh,
                                   const torch::Tensor& batch_index) const {
  // Quirk: the released weights were trained with centre and size handed to RoIAlign as if they
  // were two corners, so sizes may be negative. Test: golden region.rois.
  const bool released = config.geometry == RoiGeometry::kReleased;
  const auto boxes =
      (released ? boxes_cxcywh : cxcywh_to_xyxy(boxes_cxcywh)) * static_cast<double>(image_size);
  return at::cat({batch_index.to(boxes.options()).unsqueeze(1), boxes}, 1);
}

torch::Tensor RegionPoolImpl::pool(const torch::Tensor& map, const torch::Tensor& rois,
                                   size_t l) const {
  // Quirk: the reference's scales are twice those of the maps, so coordinates run to twice the map
  // and samples beyond it count zero. Test: golden region.roi_align.
  const double twice = config.geometry == RoiGeometry::kReleased ? 2 : 1;
  const double scale = twice * config.scales[l] / static_cast<double>(patch);
  return ops::roi_align(map, rois, config.roi_size, config.roi_size, scale, kSampling);
}

torch::Tensor RegionPoolImpl::convolve(const std::vector<torch::Tensor>& pooled) {
  const auto add_up = [](const auto& term) {
    auto sum = term(0);
    for (size_t l = 1; l < kLevels; ++l) sum = sum + term(l);
    return sum;
  };
  const auto conv = [&](size_t l) { return pconvs[l]->as<nn::Conv2d>(); };
  if (ops::takes_winograd({pooled[0]}, conv(0)->weight)) {  // and skips what sees nothing itself
    const auto bias = add_up([&](size_t l) { return conv(l)->bias; }).view({-1, 1, 1});
    return add_up([&](size_t l) { return ops::winograd_conv({pooled[l]}, conv(l)->weight)[0]; })
        .add_(bias);
  }
  if (config.geometry == RoiGeometry::kExact) {
    return add_up([&](size_t l) { return conv(l)->forward(pooled[l]); });
  }
  // Much of what the released geometry samples lies beyond the maps; there a convolution is its
  // bias.
  const auto cells = cells_that_see(pooled);
  const auto bias = add_up([&](size_t l) { return conv(l)->bias; });
  auto sums = bias.expand({pooled[0].numel() / pooled[0].size(1), bias.size(0)});
  if (cells.numel() > 0) {
    sums = sums.index_copy(
        0, cells, add_up([&](size_t l) { return convolve_at(*conv(l), pooled[l], cells); }));
  }
  return sums.view({-1, config.roi_size, config.roi_size, bias.size(0)}).permute({0, 3, 1, 2});
}

torch::Tensor RegionPoolImpl::flatten(const std::vector<torch::Tensor>& pooled) {
  // [R, C * roi * roi] -> [R, region_hidden]
  return flatten_linear(at::relu(convolve(pooled)).flatten(1));
}

torch::Tensor RegionPoolImpl::embed_boxes(const torch::Tensor& boxes_cxcywh) {
  const auto boxes = boxes_cxcywh.to(position_in->weight.scalar_type());
  const auto x = position_in_norm(at::relu(position_in(boxes)));
  return position_out_norm(at::relu(position_out(x)));
}

torch::Tensor RegionPoolImpl::forward(const std::vector<torch::Tensor>& maps,
                                      const torch::Tensor& boxes_cxcywh,
                                      const torch::Tensor& batch_index,
                                      const torch::Tensor& placed_cxcywh) {
  const auto boxes = rois(boxes_cxcywh, batch_index);
  std::vector<torch::Tensor> pooled;
  for (size_t l = 0; l < kLevels; ++l) pooled.push_back(pool(maps[l], boxes, l));
  return updims(flatten(pooled) +
                embed_boxes(placed_cxcywh.defined() ? placed_cxcywh : boxes_cxcywh));
}

RegionEncoderImpl::RegionEncoderImpl(const RegionConfig& config, const VisionConfig& vision,
                                     int64_t out) {
  mlvl_fuse = register_module("mlvl_fuse", MapFusion(vision.hidden, config));
  roi_align = register_module("roi_align", RegionPool(config, vision, out));
}

}  // namespace groma
