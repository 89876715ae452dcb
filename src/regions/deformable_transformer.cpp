#include "regions/deformable_transformer.h"

#include <ATen/ATen.h>

#include "ops/ms_deform_attn/ms_deform_attn.h"

namespace groma {
namespace {

// HF DeformableDetr uses torch's default epsilon throughout.
constexpr double kNormEps = 1e-5;

}  // namespace

DeformableAttentionImpl::DeformableAttentionImpl(int64_t d_model, int64_t heads, int64_t levels,
                                                 int64_t points)
    : heads(heads), levels(levels), points(points) {
  const auto samples = heads * levels * points;
  sampling_offsets = register_module("sampling_offsets", nn::Linear(d_model, samples * 2));
  attention_weights = register_module("attention_weights", nn::Linear(d_model, samples));
  value_proj = register_module("value_proj", nn::Linear(d_model, d_model));
  output_proj = register_module("output_proj", nn::Linear(d_model, d_model));
}

torch::Tensor DeformableAttentionImpl::forward(const torch::Tensor& query,
                                               const torch::Tensor& memory,
                                               const torch::Tensor& reference,
                                               const LevelShapes& shapes) {
  const auto batch = query.size(0), queries = query.size(1);
  const auto value = value_proj(memory).unflatten(-1, {heads, -1});  // [B, N, heads, C]
  auto offsets = sampling_offsets(query).view({batch, queries, heads, levels, points, 2});
  const auto weights = attention_weights(query)
                           .view({batch, queries, heads, -1})
                           .softmax(-1)
                           .view({batch, queries, heads, levels, points});

  const auto anchor = reference.unsqueeze(2).unsqueeze(4);  // [B, Q, 1, L, 1, 2 or 4]
  if (reference.size(-1) == 2) {
    auto sizes = at::empty({levels, 1, 2}, at::kFloat);
    for (int64_t l = 0; l < levels; ++l) {
      sizes[l][0][0] = shapes[l][1];
      sizes[l][0][1] = shapes[l][0];
    }
    offsets = offsets / sizes.to(query.options());
  } else {
    offsets = offsets / points * anchor.narrow(-1, 2, 2) * 0.5;
  }
  const auto locations = anchor.narrow(-1, 0, 2) + offsets;
  return output_proj(ops::ms_deform_attn(value, shapes, locations, weights));
}

DeformableEncoderLayerImpl::DeformableEncoderLayerImpl(const ProposerConfig& config) {
  const auto d = config.d_model;
  self_attn = register_module(
      "self_attn",
      DeformableAttention(d, config.encoder_heads, config.levels, config.encoder_points));
  self_attn_layer_norm = register_module("self_attn_layer_norm", nn::LayerNorm(d, kNormEps));
  fc1 = register_module("fc1", nn::Linear(d, config.encoder_ffn));
  fc2 = register_module("fc2", nn::Linear(config.encoder_ffn, d));
  final_layer_norm = register_module("final_layer_norm", nn::LayerNorm(d, kNormEps));
}

torch::Tensor DeformableEncoderLayerImpl::forward(const torch::Tensor& x,
                                                  const torch::Tensor& position,
                                                  const torch::Tensor& reference,
                                                  const LevelShapes& shapes) {
  const auto y = self_attn_layer_norm(x + self_attn(x + position, x, reference, shapes));
  return final_layer_norm(y + fc2(at::relu(fc1(y))));
}

QueryAttentionImpl::QueryAttentionImpl(int64_t d_model, int64_t heads) : heads(heads) {
  k_proj = register_module("k_proj", nn::Linear(d_model, d_model));
  v_proj = register_module("v_proj", nn::Linear(d_model, d_model));
  q_proj = register_module("q_proj", nn::Linear(d_model, d_model));
  out_proj = register_module("out_proj", nn::Linear(d_model, d_model));
}

torch::Tensor QueryAttentionImpl::forward(const torch::Tensor& x, const torch::Tensor& position) {
  const auto split = [&](const torch::Tensor& y) {
    return y.unflatten(-1, {heads, -1}).transpose(1, 2);  // [B, heads, Q, d / heads]
  };
  const auto placed = x + position;
  const auto y = at::scaled_dot_product_attention(split(q_proj(placed)), split(k_proj(placed)),
                                                  split(v_proj(x)));
  return out_proj(y.transpose(1, 2).flatten(2));
}

DeformableDecoderLayerImpl::DeformableDecoderLayerImpl(const ProposerConfig& config) {
  const auto d = config.d_model;
  self_attn = register_module("self_attn", QueryAttention(d, config.decoder_heads));
  self_attn_layer_norm = register_module("self_attn_layer_norm", nn::LayerNorm(d, kNormEps));
  encoder_attn = register_module(
      "encoder_attn",
      DeformableAttention(d, config.decoder_heads, config.levels, config.decoder_points));
  encoder_attn_layer_norm = register_module("encoder_attn_layer_norm", nn::LayerNorm(d, kNormEps));
  fc1 = register_module("fc1", nn::Linear(d, config.decoder_ffn));
  fc2 = register_module("fc2", nn::Linear(config.decoder_ffn, d));
  final_layer_norm = register_module("final_layer_norm", nn::LayerNorm(d, kNormEps));
}

torch::Tensor DeformableDecoderLayerImpl::forward(const torch::Tensor& x,
                                                  const torch::Tensor& position,
                                                  const torch::Tensor& memory,
                                                  const torch::Tensor& reference,
                                                  const LevelShapes& shapes) {
  auto y = self_attn_layer_norm(x + self_attn(x, position));
  y = encoder_attn_layer_norm(y + encoder_attn(y + position, memory, reference, shapes));
  return final_layer_norm(y + fc2(at::relu(fc1(y))));
}

torch::Tensor cell_centers(const LevelShapes& shapes) {
  std::vector<torch::Tensor> levels;
  for (const auto& [height, width] : shapes) {
    const auto y = (at::arange(height, at::kFloat) + 0.5) / height;
    const auto x = (at::arange(width, at::kFloat) + 0.5) / width;
    levels.push_back(
        at::stack({x.unsqueeze(0).expand({height, width}), y.unsqueeze(1).expand({height, width})},
                  -1)
            .view({-1, 2}));
  }
  const auto all = at::cat(levels).view({1, -1, 1, 2});
  return all.expand({-1, -1, static_cast<int64_t>(shapes.size()), -1});
}

}  // namespace groma
