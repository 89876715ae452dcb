#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <initializer_list>
#include <vector>

#include "ops/quantized_linear/packed_weight.h"

namespace groma::nn {

/// Registers a parameter that has a shape but no memory of its own until weights are assigned.
torch::Tensor shaped_parameter(torch::nn::Module& module, const std::string& name,
                               at::IntArrayRef shape);

/// y = x W^T + b.   weight [out, in], bias [out]
struct LinearImpl : torch::nn::Module {
  LinearImpl(int64_t in, int64_t out, bool with_bias = true);
  torch::Tensor forward(const torch::Tensor& x);

  /// Takes `packed` as the weight from now on. `weight` then tells shape, dtype and device alone
  /// and is no parameter any more.
  void adopt(ops::PackedWeight packed, at::TensorOptions options);

  torch::Tensor weight, bias;
  ops::PackedWeight packed;  ///< undefined: `weight` is computed with
};
TORCH_MODULE(Linear);

/// What each layer makes of the same x, read and prepared once.   x [M, in]
std::vector<torch::Tensor> together(const torch::Tensor& x,
                                    std::initializer_list<LinearImpl*> layers);

/// Normalises the last dimension.   weight, bias [width]
struct LayerNormImpl : torch::nn::Module {
  LayerNormImpl(int64_t width, double eps);
  torch::Tensor forward(const torch::Tensor& x);
  torch::Tensor weight, bias;
  double eps;
};
TORCH_MODULE(LayerNorm);

/// Normalises the channels of every cell of [B, C, H, W].   weight, bias [C]
struct LayerNorm2dImpl : torch::nn::Module {
  LayerNorm2dImpl(int64_t channels, double eps);
  torch::Tensor forward(const torch::Tensor& x);
  torch::Tensor weight, bias;
  double eps;
};
TORCH_MODULE(LayerNorm2d);

struct GroupNormImpl : torch::nn::Module {
  GroupNormImpl(int64_t groups, int64_t channels, double eps = 1e-5);
  torch::Tensor forward(const torch::Tensor& x);
  torch::Tensor weight, bias;
  int64_t groups;
  double eps;
};
TORCH_MODULE(GroupNorm);

/// weight [out, in, kernel, kernel], bias [out]
struct Conv2dImpl : torch::nn::Module {
  Conv2dImpl(int64_t in, int64_t out, int64_t kernel, int64_t stride = 1, int64_t padding = 0,
             bool with_bias = true);
  torch::Tensor forward(const torch::Tensor& x);
  torch::Tensor weight, bias;
  int64_t stride, padding;
};
TORCH_MODULE(Conv2d);

/// Doubles both sides of a map.   weight [in, out, 2, 2], bias [out]
struct ConvTranspose2dImpl : torch::nn::Module {
  ConvTranspose2dImpl(int64_t in, int64_t out);
  torch::Tensor forward(const torch::Tensor& x);
  torch::Tensor weight, bias;
};
TORCH_MODULE(ConvTranspose2d);

/// Rows of a table.   weight [count, width]
struct EmbeddingImpl : torch::nn::Module {
  EmbeddingImpl(int64_t count, int64_t width);
  torch::Tensor forward(const torch::Tensor& ids);
  torch::Tensor weight;
};
TORCH_MODULE(Embedding);

}  // namespace groma::nn
