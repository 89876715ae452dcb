#include "vision/dinov2.h"

#include <ATen/ATen.h>

#include <cmath>

#include "nn/group.h"
#include "ops/attention.h"

namespace groma {

Dinov2EmbeddingsImpl::Dinov2EmbeddingsImpl(const VisionConfig& config) {
  const auto rows = 1 + config.table_size * config.table_size;
  cls_token = nn::shaped_parameter(*this, "cls_token", {1, 1, config.hidden});
  mask_token = nn::shaped_parameter(*this, "mask_token", {1, config.hidden});
  position_embeddings =
      nn::shaped_parameter(*this, "position_embeddings", {1, rows, config.hidden});
  projection =
      nn::group(*this, "patch_embeddings")
          .register_module("projection", nn::Conv2d(3, config.hidden, config.patch, config.patch));
}

torch::Tensor Dinov2EmbeddingsImpl::positions(int64_t grid) const {
  const auto table = static_cast<int64_t>(std::sqrt(position_embeddings.size(1) - 1));
  if (table == grid) return position_embeddings;
  const auto width = position_embeddings.size(2);
  const auto cls = position_embeddings.narrow(1, 0, 1);
  auto patches = position_embeddings.narrow(1, 1, table * table);
  patches = patches.reshape({1, table, table, width}).permute({0, 3, 1, 2});
  // Quirk: the reference resizes by the factor (grid + 0.1) / table and not to the size `grid`
  // (HF Dinov2Embeddings, 4.32.0); the sampling positions differ. Test: golden vit_pos.
  const double scale = (static_cast<double>(grid) + 0.1) / static_cast<double>(table);
  patches = at::upsample_bicubic2d(patches.to(at::kFloat), {grid, grid}, /*align_corners=*/false,
                                   scale, scale)
                .to(position_embeddings.scalar_type());
  patches = patches.permute({0, 2, 3, 1}).reshape({1, grid * grid, width});
  return at::cat({cls, patches}, 1);
}

torch::Tensor Dinov2EmbeddingsImpl::forward(const torch::Tensor& pixels) {
  auto x = projection(pixels.to(projection->weight.scalar_type()));  // [B, D, grid, grid]
  const auto grid = x.size(2);
  x = x.flatten(2).transpose(1, 2);  // [B, N, D]
  x = at::cat({cls_token.expand({x.size(0), -1, -1}), x}, 1);
  return x + positions(grid);
}

Dinov2LayerImpl::Dinov2LayerImpl(const VisionConfig& config) : heads(config.heads) {
  const auto width = config.hidden;
  norm1 = register_module("norm1", nn::LayerNorm(width, config.norm_eps));
  auto& attention = nn::group(*this, "attention.attention");
  query = attention.register_module("query", nn::Linear(width, width));
  key = attention.register_module("key", nn::Linear(width, width));
  value = attention.register_module("value", nn::Linear(width, width));
  dense = nn::group(*this, "attention.output").register_module("dense", nn::Linear(width, width));
  lambda1 = nn::shaped_parameter(nn::group(*this, "layer_scale1"), "lambda1", {width});
  norm2 = register_module("norm2", nn::LayerNorm(width, config.norm_eps));
  auto& mlp = nn::group(*this, "mlp");
  fc1 = mlp.register_module("fc1", nn::Linear(width, config.intermediate));
  fc2 = mlp.register_module("fc2", nn::Linear(config.intermediate, width));
  lambda2 = nn::shaped_parameter(nn::group(*this, "layer_scale2"), "lambda1", {width});
}

torch::Tensor Dinov2LayerImpl::attend(const torch::Tensor& x) {
  const auto projected = nn::together(x.flatten(0, 1), {query.get(), key.get(), value.get()});
  const auto split = [&](const torch::Tensor& y) {
    return y.view({x.size(0), x.size(1), heads, -1}).transpose(1, 2);  // [B, heads, N, D / heads]
  };
  const auto q = split(projected[0]), k = split(projected[1]), v = split(projected[2]);
  if (ops::takes_attention(q)) return dense(ops::attention(q, k, v, /*causal=*/false));
  return dense(at::scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2));
}

torch::Tensor Dinov2LayerImpl::forward(const torch::Tensor& x) {
  const auto y = x + attend(norm1(x)) * lambda1;
  return y + fc2(at::gelu(fc1(norm2(y)))) * lambda2;
}

Dinov2Impl::Dinov2Impl(const VisionConfig& config) {
  embeddings = register_module("embeddings", Dinov2Embeddings(config));
  layer = nn::group(*this, "encoder").register_module("layer", torch::nn::ModuleList());
  for (int64_t i = 0; i < config.layers; ++i) layer->push_back(Dinov2Layer(config));
  layernorm = register_module("layernorm", nn::LayerNorm(config.hidden, config.norm_eps));
}

std::vector<torch::Tensor> Dinov2Impl::forward(const torch::Tensor& pixels) {
  auto x = embeddings(pixels);
  std::vector<torch::Tensor> last;
  const auto layers = static_cast<int64_t>(layer->size());
  for (int64_t i = 0; i < layers; ++i) {
    x = layer[i]->as<Dinov2Layer>()->forward(x);
    if (i >= layers - kKept) last.push_back(x);
  }
  return last;
}

torch::Tensor patches_as_map(const torch::Tensor& hidden) {
  const auto patches = hidden.size(1) - 1;
  const auto grid = static_cast<int64_t>(std::lround(std::sqrt(patches)));
  TORCH_CHECK(grid * grid == patches, "patches_as_map: ", patches, " patches are no square");
  return hidden.narrow(1, 1, patches).unflatten(1, {grid, grid}).permute({0, 3, 1, 2});
}

}  // namespace groma
