#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <vector>

#include "ops/ms_deform_attn/ms_deform_attn_kernel.h"

/// The loops over ms_deform_attn's kernel body, one pair a device. Tensors come checked,
/// contiguous.
namespace groma::ops::ms_deform_attn_kernel {

using Shapes = std::vector<std::array<int64_t, 2>>;

struct Inputs {
  at::Tensor value;      // [B, N, heads, C]
  at::Tensor locations;  // [B, Q, heads, L, P, 2], opmath type of `value`
  at::Tensor weights;    // [B, Q, heads, L, P], opmath type of `value`
  Shapes shapes;         // height, width
};

/// Gradients of the inputs in their opmath type, added to.
struct InputGradients {
  at::Tensor value, locations, weights;
};

/// output  [B, Q, heads * C], dtype of `value`; every element is written
void forward_cpu(const Inputs& inputs, at::Tensor& output);
void forward_cuda(const Inputs& inputs, at::Tensor& output);

/// grad_output  [B, Q, heads * C], dtype of `value`
void backward_cpu(const Inputs& inputs, const at::Tensor& grad_output, InputGradients& gradients);
void backward_cuda(const Inputs& inputs, const at::Tensor& grad_output, InputGradients& gradients);

template <typename T>
Call<T> make_call(const Inputs& inputs) {
  using Real = typename Call<T>::Real;
  Call<T> call;
  call.value = inputs.value.const_data_ptr<T>();
  call.locations = inputs.locations.const_data_ptr<Real>();
  call.weights = inputs.weights.const_data_ptr<Real>();
  call.level_count = static_cast<int>(inputs.shapes.size());
  call.points = static_cast<int>(inputs.weights.size(4));
  call.heads = static_cast<int>(inputs.value.size(2));
  call.channels = static_cast<int>(inputs.value.size(3));
  call.positions = inputs.value.size(1);
  call.queries = inputs.locations.size(1);
  int64_t start = 0;
  for (size_t i = 0; i < inputs.shapes.size(); ++i) {
    const auto [height, width] = inputs.shapes[i];
    call.levels[i] = {static_cast<int>(height), static_cast<int>(width), start};
    start += height * width;
  }
  return call;
}

template <typename Real>
Gradients<Real> gradient_pointers(InputGradients& gradients) {
  return {gradients.value.mutable_data_ptr<Real>(), gradients.locations.mutable_data_ptr<Real>(),
          gradients.weights.mutable_data_ptr<Real>()};
}

}  // namespace groma::ops::ms_deform_attn_kernel
