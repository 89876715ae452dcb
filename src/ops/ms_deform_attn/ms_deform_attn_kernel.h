#pragma once

#include <ATen/OpMathType.h>
#include <c10/macros/Macros.h>

#include <cstdint>

#include "ops/device.h"

/// The mathematics of ms_deform_attn, for one head of one query.
namespace groma::ops::ms_deform_attn_kernel {

inline constexpr int kMaxLevels = 8;

struct Level {
  int height, width;
  int64_t start;  // of its first position among the N
};

/// What every item needs to know. An item is numbered (batch * queries + query) * heads + head.
template <typename T>
struct Call {
  using Real = at::opmath_type<T>;

  const T* value;         // [B, N, heads, C]
  const Real* locations;  // [B, Q, heads, L, P, 2]
  const Real* weights;    // [B, Q, heads, L, P]
  Level levels[kMaxLevels];
  int level_count, points, heads, channels;
  int64_t positions, queries;  // N, Q
};

/// The corners around a sample (top left, top right, bottom left, bottom right): elements to skip
/// in `value`, or -1 where a corner lies outside the map; what each counts; how that changes with x
/// and y, in pixels.
template <typename Real>
struct Corners {
  int64_t offset[4];
  Real weight[4];
  Real by_x[4];
  Real by_y[4];
};

/// first  element of `value` where the map begins for this batch entry and head
/// step   elements between neighbouring positions
template <typename Real>
C10_HOST_DEVICE Corners<Real> find_corners(const Level& level, int64_t first, int64_t step, Real x,
                                           Real y) {
  const int left = x < 0 ? -1 : static_cast<int>(x);  // x is above -1
  const int top = y < 0 ? -1 : static_cast<int>(y);
  const Real beside = x - left;
  const Real below = y - top;
  Corners<Real> corners = {
      {-1, -1, -1, -1},
      {(1 - below) * (1 - beside), (1 - below) * beside, below * (1 - beside), below * beside},
      {below - 1, 1 - below, -below, below},
      {beside - 1, -beside, 1 - beside, beside}};
  for (int corner = 0; corner < 4; ++corner) {
    const int column = left + corner % 2;
    const int row = top + corner / 2;
    if (row < 0 || row >= level.height || column < 0 || column >= level.width) continue;
    corners.offset[corner] = first + (static_cast<int64_t>(row) * level.width + column) * step;
  }
  return corners;
}

/// Calls visit(sample, level, corners) for each sample of an item that touches its map; `sample`
/// numbers the elements of `weights`.
template <typename T, typename Visit>
C10_HOST_DEVICE void visit_samples(const Call<T>& call, int64_t item, Visit visit) {
  using Real = typename Call<T>::Real;
  const int64_t head = item % call.heads;
  const int64_t batch = item / call.heads / call.queries;
  const int64_t step = static_cast<int64_t>(call.heads) * call.channels;
  const int64_t image = batch * call.positions * step + head * call.channels;
  int64_t sample = item * call.level_count * call.points;
  for (int i = 0; i < call.level_count; ++i) {
    const Level& level = call.levels[i];
    for (int point = 0; point < call.points; ++point, ++sample) {
      const Real x = call.locations[2 * sample] * level.width - Real(0.5);
      const Real y = call.locations[2 * sample + 1] * level.height - Real(0.5);
      // "Not inside", so that NaN counts as outside.
      if (!(x > -1 && x < level.width && y > -1 && y < level.height)) continue;
      visit(sample, level, find_corners(level, image + level.start * step, step, x, y));
    }
  }
}

/// Sums the weighted samples of `lanes` channels, from `channel` on: at most `kLanes` on a CPU,
/// exactly `kLanes` on a GPU.
///
/// output  [B, Q, heads, C]; these channels of one item are written
template <int kLanes, typename T>
C10_HOST_DEVICE void forward_at(const Call<T>& call, T* output, int64_t item, int channel,
                                int lanes) {
  using Real = typename Call<T>::Real;
  Real sum[kLanes] = {};
  visit_samples(call, item, [&](int64_t sample, const Level&, const Corners<Real>& corners) {
    for (int corner = 0; corner < 4; ++corner) {
      if (corners.offset[corner] < 0) continue;
      const auto value = load<kLanes>(call.value + corners.offset[corner] + channel);
      const Real weight = call.weights[sample] * corners.weight[corner];
      for (int lane = 0; lane < lanes; ++lane) sum[lane] += weight * static_cast<Real>(value[lane]);
    }
  });
  store(output + item * call.channels + channel, sum, lanes);
}

/// Where the gradients of the three inputs are added; shapes as in Call.
template <typename Real>
struct Gradients {
  Real* value;
  Real* locations;
  Real* weights;
};

/// Adds what the gradient of one item and `lanes` channels, from `channel` on, says of the inputs.
///
/// grad_output  [B, Q, heads, C]
template <typename T>
C10_HOST_DEVICE void backward_at(const Call<T>& call, const T* grad_output,
                                 const Gradients<typename Call<T>::Real>& gradients, int64_t item,
                                 int channel, int lanes) {
  using Real = typename Call<T>::Real;
  const T* grad = grad_output + item * call.channels + channel;
  visit_samples(call, item, [&](int64_t sample, const Level& level, const Corners<Real>& corners) {
    const Real weight = call.weights[sample];
    Real by_weight = 0, by_x = 0, by_y = 0;
    for (int corner = 0; corner < 4; ++corner) {
      if (corners.offset[corner] < 0) continue;
      const T* value = call.value + corners.offset[corner] + channel;
      Real* target = gradients.value + corners.offset[corner] + channel;
      Real product = 0;
      for (int lane = 0; lane < lanes; ++lane) {
        product += static_cast<Real>(grad[lane]) * static_cast<Real>(value[lane]);
        accumulate(target + lane, weight * corners.weight[corner] * static_cast<Real>(grad[lane]));
      }
      by_weight += corners.weight[corner] * product;
      by_x += corners.by_x[corner] * product;
      by_y += corners.by_y[corner] * product;
    }
    // A location is a fraction of the map, by_x and by_y are per pixel.
    accumulate(gradients.weights + sample, by_weight);
    accumulate(gradients.locations + 2 * sample, weight * by_x * level.width);
    accumulate(gradients.locations + 2 * sample + 1, weight * by_y * level.height);
  });
}

}  // namespace groma::ops::ms_deform_attn_kernel
