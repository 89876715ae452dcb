#include "nn/layers.h"

#include <ATen/Functions.h>

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

torch::Tensor LinearImpl::forward(const torch::Tensor& x) { return at::linear(x, weight, bias); }

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
