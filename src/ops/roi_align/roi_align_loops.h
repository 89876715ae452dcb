#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "ops/roi_align/roi_align_kernel.h"

/// The loops over roi_align's kernel body, one pair a device. Tensors come checked, channels last.
namespace groma::ops::roi_align_kernel {

struct Grid {
  int64_t rows, columns;
  double scale;
  int64_t sampling;
};

/// features  [B, C, H, W], channels last
/// boxes     [R, 5], opmath type of `features`
/// output    [R, C, rows, columns], channels last; every element is written
void forward_cpu(const at::Tensor& features, const at::Tensor& boxes, const Grid& grid,
                 at::Tensor& output);
void forward_cuda(const at::Tensor& features, const at::Tensor& boxes, const Grid& grid,
                  at::Tensor& output);

/// grad_output    [R, C, rows, columns], channels last
/// grad_features  [B, C, H, W], opmath type, channels last; added to
void backward_cpu(const at::Tensor& grad_output, const at::Tensor& boxes, const Grid& grid,
                  at::Tensor& grad_features);
void backward_cuda(const at::Tensor& grad_output, const at::Tensor& boxes, const Grid& grid,
                   at::Tensor& grad_features);

/// map  features or their gradient
template <typename T>
Call<T> make_call(const at::Tensor& map, const at::Tensor& boxes, const Grid& grid) {
  using Real = typename Call<T>::Real;
  Call<T> call;
  call.boxes = boxes.const_data_ptr<Real>();
  call.height = static_cast<int>(map.size(2));
  call.width = static_cast<int>(map.size(3));
  call.channels = static_cast<int>(map.size(1));
  call.rows = static_cast<int>(grid.rows);
  call.columns = static_cast<int>(grid.columns);
  call.sampling = static_cast<int>(grid.sampling);
  call.scale = static_cast<Real>(grid.scale);
  return call;
}

}  // namespace groma::ops::roi_align_kernel
