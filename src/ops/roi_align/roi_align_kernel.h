#pragma once

#include <ATen/OpMathType.h>
#include <c10/macros/Macros.h>

#include <cstdint>

#include "ops/device.h"

/// The mathematics of roi_align, for one cell of one box. Maps and grids are stored channels last,
/// so that the inner loops run over neighbours in memory.
namespace groma::ops::roi_align_kernel {

/// What every cell needs to know. A cell is numbered (box * rows + row) * columns + column.
template <typename T>
struct Call {
  using Real = at::opmath_type<T>;

  const Real* boxes;  // [R, 5], image indices already checked
  int height, width;  // of a map
  int channels;
  int rows, columns;  // of a grid
  int sampling;
  Real scale;
};

/// The four corners around a sample: elements to skip in the map, and what each corner counts.
template <typename Real>
struct Corners {
  int64_t offset[4];
  Real weight[4];
};

/// False where the sample counts zero. Up to one pixel outside it takes the value of the border.
template <typename T, typename Real>
C10_HOST_DEVICE bool find_corners(const Call<T>& call, int64_t image, Real y, Real x,
                                  Corners<Real>& corners) {
  // "Not inside", so that NaN counts as outside.
  if (!(y >= -1 && y <= call.height && x >= -1 && x <= call.width)) return false;
  y = y > 0 ? y : Real(0);
  x = x > 0 ? x : Real(0);
  int top = static_cast<int>(y);
  int left = static_cast<int>(x);
  const bool at_bottom = top >= call.height - 1;
  const bool at_right = left >= call.width - 1;
  if (at_bottom) top = call.height - 1;
  if (at_right) left = call.width - 1;
  const Real below = at_bottom ? Real(0) : y - top;
  const Real beside = at_right ? Real(0) : x - left;

  const int64_t right_step = at_right ? 0 : call.channels;
  const int64_t down_step = at_bottom ? 0 : static_cast<int64_t>(call.width) * call.channels;
  const int64_t start = ((image * call.height + top) * call.width + left) * call.channels;
  corners = {
      {start, start + right_step, start + down_step, start + down_step + right_step},
      {(1 - below) * (1 - beside), (1 - below) * beside, below * (1 - beside), below * beside}};
  return true;
}

/// Calls visit(corners) for each sample of a cell that lies in the map.
template <typename T, typename Visit>
C10_HOST_DEVICE void visit_samples(const Call<T>& call, int cell, Visit visit) {
  using Real = typename Call<T>::Real;
  const int column = cell % call.columns;
  const int row = cell / call.columns % call.rows;
  const Real* box = call.boxes + static_cast<int64_t>(cell / call.columns / call.rows) * 5;
  const auto image = static_cast<int64_t>(box[0]);
  const Real left = box[1] * call.scale - Real(0.5);
  const Real top = box[2] * call.scale - Real(0.5);
  // Sizes are not clamped: a negative one samples backwards.
  const Real cell_width = (box[3] * call.scale - Real(0.5) - left) / call.columns;
  const Real cell_height = (box[4] * call.scale - Real(0.5) - top) / call.rows;

  Corners<Real> corners;
  for (int i = 0; i < call.sampling; ++i) {
    const Real y = top + row * cell_height + (i + Real(0.5)) * cell_height / call.sampling;
    for (int j = 0; j < call.sampling; ++j) {
      const Real x = left + column * cell_width + (j + Real(0.5)) * cell_width / call.sampling;
      if (find_corners(call, image, y, x, corners)) visit(corners);
    }
  }
}

/// Averages the samples of `lanes` channels, from `channel` on: at most `kLanes` on a CPU, exactly
/// `kLanes` on a GPU.
///
/// features  [B, H, W, C]
/// output    [R, rows, columns, C]; one cell and these channels of it are written
template <int kLanes, typename T>
C10_HOST_DEVICE void forward_at(const Call<T>& call, const T* features, T* output, int cell,
                                int channel, int lanes) {
  using Real = typename Call<T>::Real;
  Real sum[kLanes] = {};
  visit_samples(call, cell, [&](const Corners<Real>& corners) {
    const auto top_left = load<kLanes>(features + corners.offset[0] + channel);
    const auto top_right = load<kLanes>(features + corners.offset[1] + channel);
    const auto bottom_left = load<kLanes>(features + corners.offset[2] + channel);
    const auto bottom_right = load<kLanes>(features + corners.offset[3] + channel);
    for (int lane = 0; lane < lanes; ++lane) {
      sum[lane] += corners.weight[0] * static_cast<Real>(top_left[lane]) +
                   corners.weight[1] * static_cast<Real>(top_right[lane]) +
                   corners.weight[2] * static_cast<Real>(bottom_left[lane]) +
                   corners.weight[3] * static_cast<Real>(bottom_right[lane]);
    }
  });
  const Real samples = static_cast<Real>(call.sampling) * call.sampling;
  for (int lane = 0; lane < lanes; ++lane) sum[lane] /= samples;
  store(output + static_cast<int64_t>(cell) * call.channels + channel, sum, lanes);
}

/// Hands the gradient of one cell and `lanes` channels back to the corners it was sampled from.
///
/// grad_output    [R, rows, columns, C]
/// grad_features  [B, H, W, C], added to
template <typename T>
C10_HOST_DEVICE void backward_at(const Call<T>& call, const T* grad_output,
                                 typename Call<T>::Real* grad_features, int cell, int channel,
                                 int lanes) {
  using Real = typename Call<T>::Real;
  const Real samples = static_cast<Real>(call.sampling) * call.sampling;
  const T* grad = grad_output + static_cast<int64_t>(cell) * call.channels + channel;
  visit_samples(call, cell, [&](const Corners<Real>& corners) {
    for (int corner = 0; corner < 4; ++corner) {
      Real* target = grad_features + corners.offset[corner] + channel;
      const Real share = corners.weight[corner] / samples;
      for (int lane = 0; lane < lanes; ++lane) {
        accumulate(target + lane, share * static_cast<Real>(grad[lane]));
      }
    }
  });
}

}  // namespace groma::ops::roi_align_kernel
