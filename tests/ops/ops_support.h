#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/util/Exception.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>
#include <string>

namespace groma::testing {

/// Runs at::parallel_for on `count` threads while it lives.
class Threads {
 public:
  explicit Threads(int count) : before_(at::get_num_threads()) { at::set_num_threads(count); }
  ~Threads() { at::set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

/// Normally distributed floats, the same for the same seed.
inline at::Tensor random(at::IntArrayRef shape, uint64_t seed) {
  at::manual_seed(seed);
  return at::randn(shape);
}

/// The same as bfloat16 numbers.
inline at::Tensor random_bfloat16(at::IntArrayRef shape, uint64_t seed) {
  return random(shape, seed).to(at::kBFloat16);
}

/// Slope of `f`, which returns one number, along every element of `x`, a double tensor.
inline at::Tensor numeric_gradient(const std::function<at::Tensor(const at::Tensor&)>& f,
                                   const at::Tensor& x, double step = 1e-6) {
  const Threads one(1);  // many small calls
  const at::Tensor moved = x.detach().clone(at::MemoryFormat::Contiguous);
  at::Tensor gradient = at::zeros_like(moved);
  auto* value = moved.mutable_data_ptr<double>();
  for (int64_t i = 0; i < moved.numel(); ++i) {
    const double before = value[i];
    value[i] = before + step;
    const double above = f(moved).item<double>();
    value[i] = before - step;
    const double below = f(moved).item<double>();
    value[i] = before;
    gradient.mutable_data_ptr<double>()[i] = (above - below) / (2 * step);
  }
  return gradient;
}

/// Gradient of the sum of `output`, each element weighted by `weights`.
inline at::Tensor gradient_of(const at::Tensor& output, const at::Tensor& weights,
                              const at::Tensor& input) {
  return torch::autograd::grad({output}, {input}, {weights})[0];
}

/// The message of the c10::Error that `f` throws, without its stack; empty when it throws none.
template <typename Function>
std::string error_of(Function f) {
  try {
    f();
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
  return "";
}

}  // namespace groma::testing
