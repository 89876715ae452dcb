#include "nn/layers.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "ops/quantized_linear/quantized_linear.h"

namespace groma::nn {

torch::Tensor shaped_parameter(torch::nn::Module& module, const std::string& name,
                               at::IntArrayRef shape) {
  // A single zero seen as the whole shape: nothing is allocated before the real weights arrive.
  return module.register_parameter(name, at::zeros({1}).expand(shape), /*requires_grad=*/false);
}

LinearImpl::LinearImpl(int64_t in, int64_t out, bool with_bias) {
  weight = shaped_parameter(*this, "weight", {out, in});
  if (with_bias) bias = shaped_parameter(*this, "bias", {out});
}

torch::Tensor LinearImpl::forward(const torch::Tensor& x) {
  if (x.dim() == 2) return together(x, {this})[0];
  return together(x.flatten(0, -2), {this})[0].unflatten(0, x.sizes().slice(0, x.dim() - 1));
}

void LinearImpl::adopt(ops::PackedWeight packed_, at::TensorOptions options) {
  parameters_.erase("weight");
  weight = at::zeros({1}, options).expand({packed_.out, packed_.in});
  packed = std::move(packed_);
}

namespace {

/// Whether bfloat16 rows meet bfloat16 weights on the CPU, and no gradients are asked for.
bool is_bfloat16(const torch::Tensor& x, std::initializer_list<LinearImpl*> layers) {
  return x.is_cpu() && x.scalar_type() == at::kBFloat16 && !at::GradMode::is_enabled() &&
         std::all_of(layers.begin(), layers.end(), [](const LinearImpl* layer) {
           return layer->weight.scalar_type() == at::kBFloat16 && layer->weight.is_contiguous();
         });
}

}  // namespace

std::vector<torch::Tensor> together(const torch::Tensor& x,
                                    std::initializer_list<LinearImpl*> layers) {
  std::vector<torch::Tensor> results;
  if (std::all_of(layers.begin(), layers.end(), [](auto* l) { return l->packed.defined(); })) {
    std::vector<const ops::PackedWeight*> weights;
    for (const auto* layer : layers) weights.push_back(&layer->packed);
    results = ops::quantized_linear(x, weights);
  } else if (x.size(0) > ops::kThinRows && is_bfloat16(x, layers) && ops::multiplies_bfloat16()) {
    std::vector<ops::Linear> parts;
    for (const auto* layer : layers) parts.push_back({layer->weight, layer->bias});
    return ops::bfloat16_linear(x, parts);
  } else if (x.size(0) <= ops::kThinRows && is_bfloat16(x, layers)) {
    std::vector<torch::Tensor> weights;
    for (const auto* layer : layers) weights.push_back(layer->weight);
    results = ops::thin_linear(x, weights);
  } else {
    for (const auto* layer : layers) results.push_back(at::linear(x, layer->weight, layer->bias));
    return results;
  }
  size_t i = 0;
  for (const auto* layer : layers) {
    if (layer->bias.defined()) results[i] += layer->bias;
    ++i;
  }
  return results;
}

LayerNormImpl::LayerNormImpl(int64_t width, double eps) : eps(eps) {
  weight = shaped_parameter(*this, "weight", {width});
  bias = shaped_parameter(*this, "bias", {width});
}

torch::Tensor LayerNormImpl::forward(const torch::Tensor& x) {
  return at::layer_norm(x, weight.sizes(), weight, bias, eps);
}

LayerNorm2dImpl::LayerNorm2dImpl(int64_t channels, double eps) : eps(eps) {
  weight = shaped_parameter(*this, "weight", {channels});
  bias = shaped_parameter(*this, "bias", {channels});
}

torch::Tensor LayerNorm2dImpl::forward(const torch::Tensor& x) {
  const auto channels_last = x.permute({0, 2, 3, 1});
  return at::layer_norm(channels_last, weight.sizes(), weight, bias, eps).permute({0, 3, 1, 2});
}

GroupNormImpl::GroupNormImpl(int64_t groups, int64_t channels, double eps)
    : groups(groups), eps(eps) {
  weight = shaped_parameter(*this, "weight", {channels});
  bias = shaped_parameter(*this, "bias", {channels});
}

torch::Tensor GroupNormImpl::forward(const torch::Tensor& x) {
  return at::group_norm(x, groups, weight, bias, eps);
}

Conv2dImpl::Conv2dImpl(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t padding,
                       bool with_bias)
    : stride(stride), padding(padding) {
  weight = shaped_parameter(*this, "weight", {out, in, kernel, kernel});
  if (with_bias) bias = shaped_parameter(*this, "bias", {out});
}

torch::Tensor Conv2dImpl::forward(const torch::Tensor& x) {
  return at::conv2d(x, weight, bias, stride, padding);
}

ConvTranspose2dImpl::ConvTranspose2dImpl(int64_t in, int64_t out) {
  weight = shaped_parameter(*this, "weight", {in, out, 2, 2});
  bias = shaped_parameter(*this, "bias", {out});
}

torch::Tensor ConvTranspose2dImpl::forward(const torch::Tensor& x) {
  return at::conv_transpose2d(x, weight, bias, /*stride=*/2);
}

EmbeddingImpl::EmbeddingImpl(int64_t count, int64_t width) {
  weight = shaped_parameter(*this, "weight", {count, width});
}

torch::Tensor EmbeddingImpl::forward(const torch::Tensor& ids) {
  return at::embedding(weight, ids);
}

}  // namespace groma::nn
