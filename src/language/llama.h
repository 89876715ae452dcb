#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/pimpl.h>

#include <vector>

#include "config.h"
#include "language/kv_cache.h"
#include "nn/layers.h"

// LLaMA decoder over packed sequences. Touvron et al. 2023; parameter names as HF LlamaForCausalLM.

namespace groma {

/// One sequence of a pack. The pack's rows are its sequences' new positions, one after the other.
struct PackedSequence {
  int64_t length = 0;        ///< new positions of this sequence
  KvCache* cache = nullptr;  ///< earlier positions; null: none and nothing is kept (training)
  torch::Tensor mask;        ///< [length, length] bool, true: may look; undefined: causal
  torch::Tensor place = {};  ///< of a step of fixed shape, see `KvCache::append_at`
};
using Pack = std::vector<PackedSequence>;

/// The next position of a sequence, as a step of fixed shape: mask [1, capacity].
///
/// cache  of fixed shape
/// place  [1] int64 on the cache's device: the cache's length
PackedSequence fixed_step(KvCache& cache, const torch::Tensor& place);

/// Positions of the next rows of a pack, [T] int64: each sequence goes on where its cache ends.
torch::Tensor next_positions(const Pack& pack);

/// Cosine and sine of the rotary angles of T positions.
struct Rotary {
  /// positions [T] int64
  Rotary(const torch::Tensor& positions, int64_t head_width, double theta);
  /// x [heads, T, head width]; the two halves of the width turn together (HF layout)
  torch::Tensor turn(const torch::Tensor& x) const;
  torch::Tensor cos, sin;  ///< [T, head width] float
};

/// Scales rows to unit mean square: computed in float (double stays double), returned in the dtype
/// of `weight`.
struct RmsNormImpl : torch::nn::Module {
  RmsNormImpl(int64_t width, double eps);
  torch::Tensor forward(const torch::Tensor& x);
  torch::Tensor weight;
  double eps;
};
TORCH_MODULE(RmsNorm);

struct LlamaAttentionImpl : torch::nn::Module {
  explicit LlamaAttentionImpl(const LanguageConfig& config);
  /// x [T, H], the pack's rows
  torch::Tensor forward(const torch::Tensor& x, const Rotary& rotary, const Pack& pack,
                        int64_t layer);
  int64_t heads, kv_heads;
  nn::Linear q_proj{nullptr}, k_proj{nullptr}, v_proj{nullptr}, o_proj{nullptr};
};
TORCH_MODULE(LlamaAttention);

struct LlamaLayerImpl : torch::nn::Module {
  explicit LlamaLayerImpl(const LanguageConfig& config);
  torch::Tensor forward(const torch::Tensor& x, const Rotary& rotary, const Pack& pack,
                        int64_t layer);
  RmsNorm input_layernorm{nullptr}, post_attention_layernorm{nullptr};
  LlamaAttention self_attn{nullptr};
  nn::Linear gate_proj{nullptr}, up_proj{nullptr}, down_proj{nullptr};  ///< below "mlp"
};
TORCH_MODULE(LlamaLayer);

/// The decoder stack (`llm.model`).
struct LlamaImpl : torch::nn::Module {
  explicit LlamaImpl(const LanguageConfig& config);

  /// embeds     [T, H] rows of the pack, any floating type
  /// positions  [T] int64
  /// hidden     when given, receives the input of every layer, then the output of the last; float
  /// returns    [T, H] after the final norm; the caches have grown
  torch::Tensor forward(const torch::Tensor& embeds, const torch::Tensor& positions,
                        const Pack& pack, std::vector<torch::Tensor>* hidden = nullptr);

  LanguageConfig config;
  nn::Embedding embed_tokens{nullptr};
  torch::nn::ModuleList layers{nullptr};
  RmsNorm norm{nullptr};
};
TORCH_MODULE(Llama);

}  // namespace groma
