#include "regions/sine_position.h"

#include <ATen/ATen.h>

#include <numbers>

namespace groma {
namespace {

constexpr double kTemperature = 10000;
constexpr double kScale = 2 * std::numbers::pi;

/// coordinates [...] in units of kScale -> [..., features]: sin, cos, sin, cos ... of falling
/// frequency
at::Tensor waves(const at::Tensor& coordinates, int64_t features) {
  auto period = at::arange(features, coordinates.options());
  period = at::pow(kTemperature, 2 * at::floor(period / 2) / features);
  const auto angle = coordinates.unsqueeze(-1) / period;
  const auto even = at::slice(angle, -1, 0, features, 2);
  const auto odd = at::slice(angle, -1, 1, features, 2);
  return at::stack({even.sin(), odd.cos()}, -1).flatten(-2);
}

}  // namespace

at::Tensor sine_position_map(int64_t height, int64_t width, int64_t features) {
  const auto axis = [&](int64_t size) {
    const auto cells = at::arange(1, size + 1, at::kFloat);
    return waves((cells - 0.5) / (static_cast<double>(size) + 1e-6) * kScale, features);
  };
  const auto y = axis(height).unsqueeze(1).expand({height, width, features});
  const auto x = axis(width).unsqueeze(0).expand({height, width, features});
  return at::cat({y, x}, -1).permute({2, 0, 1}).unsqueeze(0);
}

at::Tensor sine_position_boxes(const at::Tensor& box_logits, int64_t features) {
  return waves(box_logits.sigmoid() * kScale, features).flatten(2);
}

}  // namespace groma
