#include <ATen/Context.h>
#include <ATen/Dispatch.h>

#include "ops/launch.cuh"
#include "ops/ms_deform_attn/ms_deform_attn_loops.h"

namespace groma::ops::ms_deform_attn_kernel {
namespace {

// Neighbouring threads take neighbouring channels, then the next head: 32 channels of float are
// eight threads that read each corner as one line of 128 bytes.
template <int kLanes, typename T>
__global__ void __launch_bounds__(kThreads) forward_kernel(int count, Call<T> call, T* output) {
  const int groups = call.channels / kLanes;
  CUDA_KERNEL_LOOP(i, count) {
    const int item = i / groups;
    forward_at<kLanes>(call, output, item, (i - item * groups) * kLanes, kLanes);
  }
}

// One channel a thread: the atomic additions of a warp to the value's gradient then fall on
// neighbouring addresses. Those to the weight and the location of a sample meet at one address.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    backward_kernel(int count, Call<T> call, const T* grad_output,
                    Gradients<typename Call<T>::Real> gradients) {
  CUDA_KERNEL_LOOP(i, count) {
    const int item = i / call.channels;
    backward_at(call, grad_output, gradients, item, i - item * call.channels, /*lanes=*/1);
  }
}

}  // namespace

void forward_cuda(const Inputs& inputs, at::Tensor& output) {
  const c10::cuda::CUDAGuard guard(inputs.value.device());
  AT_DISPATCH_FLOATING_TYPES_AND2(
      at::kHalf, at::kBFloat16, inputs.value.scalar_type(), "ms_deform_attn", [&] {
        const auto call = make_call<scalar_t>(inputs);
        auto* to = output.mutable_data_ptr<scalar_t>();
        if (fits_vectors<scalar_t>(call.channels, {call.value, to})) {
          constexpr int kLanes = kVectorLanes<scalar_t>;
          launch(output.numel() / kLanes, forward_kernel<kLanes, scalar_t>, call, to);
        } else {
          launch(output.numel(), forward_kernel<1, scalar_t>, call, to);
        }
      });
}

void backward_cuda(const Inputs& inputs, const at::Tensor& grad_output, InputGradients& gradients) {
  at::globalContext().alertNotDeterministic("ms_deform_attn_backward on CUDA");
  const c10::cuda::CUDAGuard guard(inputs.value.device());
  AT_DISPATCH_FLOATING_TYPES_AND2(
      at::kHalf, at::kBFloat16, inputs.value.scalar_type(), "ms_deform_attn_backward", [&] {
        const auto call = make_call<scalar_t>(inputs);
        const auto to = gradient_pointers<typename Call<scalar_t>::Real>(gradients);
        const auto* from = grad_output.const_data_ptr<scalar_t>();
        launch(grad_output.numel(), backward_kernel<scalar_t>, call, from, to);
      });
}

}  // namespace groma::ops::ms_deform_attn_kernel
