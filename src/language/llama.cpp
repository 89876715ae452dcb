#include "language/llama.h"

#include <ATen/ATen.h>
#include <ATen/OpMathType.h>

#include "nn/group.h"
#include "ops/attention.h"
#include "ops/decoder_ops.h"
#include "ops/quantized_linear/quantized_linear.h"

namespace groma {
namespace {

/// q [heads, T, d], k and v [kv_heads, S, d] with S - T earlier positions -> [T, heads * d]
torch::Tensor attend(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v,
                     const torch::Tensor& mask) {
  const auto rows = q.size(1), columns = k.size(1);
  constexpr int64_t kVector = 16;  // bfloat16 numbers that attend_few reads at a time
  if (rows <= ops::kThinRows && !mask.defined() && ops::takes_decoder_ops(q) &&
      q.scalar_type() == at::kBFloat16 && k.scalar_type() == at::kBFloat16 &&
      q.size(2) % kVector == 0 && k.stride(1) == k.size(2) && v.stride(1) == v.size(2)) {
    return ops::attend_few(q, k, v);
  }
  if (!mask.defined() && ops::takes_attention(q) && k.scalar_type() == at::kBFloat16) {
    return ops::attention(q.unsqueeze(0), k.unsqueeze(0), v.unsqueeze(0), /*causal=*/true)
        .squeeze(0);
  }
  std::optional<torch::Tensor> allowed;
  if (mask.defined()) {
    allowed = mask;
  } else if (rows > 1 && rows < columns) {
    // Row i stands at position S - T + i and sees everything up to itself.
    allowed = at::ones({rows, columns}, q.options().dtype(at::kBool)).tril(columns - rows);
  }
  const bool causal = !allowed && rows > 1;
  const auto y = at::scaled_dot_product_attention(
      q.unsqueeze(0), k.unsqueeze(0), v.unsqueeze(0), allowed, /*dropout_p=*/0, causal,
      /*scale=*/std::nullopt, /*enable_gqa=*/q.size(0) != k.size(0));
  return y.squeeze(0).transpose(0, 1).flatten(1);
}

}  // namespace

torch::Tensor next_positions(const Pack& pack) {
  std::vector<torch::Tensor> parts;
  for (const auto& sequence : pack) {
    const auto first = sequence.cache ? sequence.cache->length() : 0;
    parts.push_back(at::arange(first, first + sequence.length, at::kLong));
  }
  return at::cat(parts);
}

PackedSequence fixed_step(KvCache& cache, const torch::Tensor& place) {
  const auto mask = at::arange(cache.capacity(), place.options()) <= place;
  return {1, &cache, mask.unsqueeze(0), place};
}

Rotary::Rotary(const torch::Tensor& positions, int64_t head_width, double theta) {
  const auto options = positions.options().dtype(at::kFloat);
  const auto exponent = at::arange(0, head_width, 2, options) / static_cast<double>(head_width);
  const auto frequency = 1.0 / at::pow(theta, exponent);
  const auto half = positions.to(at::kFloat).unsqueeze(1) * frequency;  // [T, head width / 2]
  const auto angle = at::cat({half, half}, 1);
  cos = angle.cos();
  sin = angle.sin();
}

torch::Tensor Rotary::turn(const torch::Tensor& x) const {
  const auto half = x.size(-1) / 2;
  const auto wide = x.to(at::toOpMathType(x.scalar_type()));
  const auto first = wide.narrow(-1, 0, half), second = wide.narrow(-1, half, half);
  return (wide * cos + at::cat({-second, first}, -1) * sin).to(x.scalar_type());
}

RmsNormImpl::RmsNormImpl(int64_t width, double eps) : eps(eps) {
  weight = nn::shaped_parameter(*this, "weight", {width});
}

torch::Tensor RmsNormImpl::forward(const torch::Tensor& x) {
  if (ops::takes_decoder_ops(x) && ops::takes_decoder_ops(weight) && x.dim() == 2) {
    return ops::rms_norm(x.contiguous(), weight, eps);
  }
  const auto wide = x.to(at::toOpMathType(x.scalar_type()));
  const auto scale = at::rsqrt(wide.square().mean(-1, /*keepdim=*/true) + eps);
  return weight * (wide * scale).to(weight.scalar_type());
}

LlamaAttentionImpl::LlamaAttentionImpl(const LanguageConfig& config)
    : heads(config.heads), kv_heads(config.kv_heads) {
  const auto hidden = config.hidden, kv_width = hidden / heads * kv_heads;
  q_proj = register_module("q_proj", nn::Linear(hidden, hidden, /*with_bias=*/false));
  k_proj = register_module("k_proj", nn::Linear(hidden, kv_width, false));
  v_proj = register_module("v_proj", nn::Linear(hidden, kv_width, false));
  o_proj = register_module("o_proj", nn::Linear(hidden, hidden, false));
}

torch::Tensor LlamaAttentionImpl::forward(const torch::Tensor& x, const Rotary& rotary,
                                          const Pack& pack, int64_t layer) {
  const auto split = [](const torch::Tensor& y, int64_t count) {
    return y.unflatten(1, {count, -1}).transpose(0, 1);  // [heads, T, head width]
  };
  const auto projected = nn::together(x, {q_proj.get(), k_proj.get(), v_proj.get()});
  const auto turned = [&](const torch::Tensor& y, int64_t count) {
    return ops::takes_decoder_ops(y) ? ops::rotate(y.contiguous(), rotary.cos, rotary.sin)
                                     : rotary.turn(split(y, count));
  };
  const auto q = turned(projected[0], heads);
  const auto k = turned(projected[1], kv_heads);
  const auto v = split(projected[2], kv_heads);
  std::vector<torch::Tensor> parts;
  int64_t first = 0;
  for (const auto& sequence : pack) {
    const auto rows = [&](const torch::Tensor& y) { return y.narrow(1, first, sequence.length); };
    auto keys = rows(k), values = rows(v);
    if (sequence.place.defined()) {
      std::tie(keys, values) = sequence.cache->append_at(sequence.place, layer, keys, values);
    } else if (sequence.cache) {
      std::tie(keys, values) = sequence.cache->append(layer, keys, values);
    }
    parts.push_back(attend(rows(q), keys, values, sequence.mask));
    first += sequence.length;
  }
  return o_proj(parts.size() == 1 ? parts[0] : at::cat(parts));
}

LlamaLayerImpl::LlamaLayerImpl(const LanguageConfig& config) {
  input_layernorm = register_module("input_layernorm", RmsNorm(config.hidden, config.norm_eps));
  self_attn = register_module("self_attn", LlamaAttention(config));
  post_attention_layernorm =
      register_module("post_attention_layernorm", RmsNorm(config.hidden, config.norm_eps));
  auto& mlp = nn::group(*this, "mlp");
  gate_proj =
      mlp.register_module("gate_proj", nn::Linear(config.hidden, config.intermediate, false));
  up_proj = mlp.register_module("up_proj", nn::Linear(config.hidden, config.intermediate, false));
  down_proj =
      mlp.register_module("down_proj", nn::Linear(config.intermediate, config.hidden, false));
}

torch::Tensor LlamaLayerImpl::forward(const torch::Tensor& x, const Rotary& rotary,
                                      const Pack& pack, int64_t layer) {
  const auto y = x + self_attn(input_layernorm(x), rotary, pack, layer);
  const auto z = post_attention_layernorm(y);
  auto wide = nn::together(z, {gate_proj.get(), up_proj.get()});
  if (ops::takes_decoder_ops(wide[0])) return y + down_proj(at::silu_(wide[0]).mul_(wide[1]));
  return y + down_proj(at::silu(wide[0]) * wide[1]);
}

LlamaImpl::LlamaImpl(const LanguageConfig& config) : config(config) {
  embed_tokens = register_module("embed_tokens", nn::Embedding(config.vocabulary, config.hidden));
  layers = register_module("layers", torch::nn::ModuleList());
  for (int64_t i = 0; i < config.layers; ++i) layers->push_back(LlamaLayer(config));
  norm = register_module("norm", RmsNorm(config.hidden, config.norm_eps));
}

torch::Tensor LlamaImpl::forward(const torch::Tensor& embeds, const torch::Tensor& positions,
                                 const Pack& pack, std::vector<torch::Tensor>* hidden) {
  const Rotary rotary(positions, config.hidden / config.heads, config.rope_theta);
  // The sum that runs through the layers is kept in float: in bfloat16 it would lose a bit or two
  // of every layer's share, at no gain in time.
  auto x = embeds.to(at::toOpMathType(embeds.scalar_type()));
  for (size_t i = 0; i < layers->size(); ++i) {
    if (hidden) hidden->push_back(x);
    x = layers[i]->as<LlamaLayer>()->forward(x, rotary, pack, static_cast<int64_t>(i));
  }
  if (hidden) hidden->push_back(x);
  for (const auto& sequence : pack) {
    if (sequence.cache) sequence.cache->advance(sequence.length);
  }
  return norm(x);
}

}  // namespace groma
