#include <ATen/Context.h>
#include <ATen/Dispatch.h>

#include "ops/launch.cuh"
#include "ops/roi_align/roi_align_loops.h"

namespace groma::ops::roi_align_kernel {
namespace {

// Neighbouring threads take neighbouring channels, so that a warp reads each corner, and writes its
// cell, in runs of 512 bytes.
template <int kLanes, typename T>
__global__ void __launch_bounds__(kThreads)
    forward_kernel(int count, Call<T> call, const T* features, T* output) {
  const int groups = call.channels / kLanes;
  CUDA_KERNEL_LOOP(i, count) {
    const int cell = i / groups;
    forward_at<kLanes>(call, features, output, cell, (i - cell * groups) * kLanes, kLanes);
  }
}

// One channel a thread: the atomic additions of a warp then fall on neighbouring addresses.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    backward_kernel(int count, Call<T> call, const T* grad_output,
                    typename Call<T>::Real* grad_features) {
  CUDA_KERNEL_LOOP(i, count) {
    const int cell = i / call.channels;
    backward_at(call, grad_output, grad_features, cell, i - cell * call.channels, /*lanes=*/1);
  }
}

}  // namespace

void forward_cuda(const at::Tensor& features, const at::Tensor& boxes, const Grid& grid,
                  at::Tensor& output) {
  const c10::cuda::CUDAGuard guard(features.device());
  AT_DISPATCH_FLOATING_TYPES_AND2(
      at::kHalf, at::kBFloat16, features.scalar_type(), "roi_align", [&] {
        const auto call = make_call<scalar_t>(features, boxes, grid);
        const auto* from = features.const_data_ptr<scalar_t>();
        auto* to = output.mutable_data_ptr<scalar_t>();
        if (fits_vectors<scalar_t>(call.channels, {from, to})) {
          constexpr int kLanes = kVectorLanes<scalar_t>;
          launch(output.numel() / kLanes, forward_kernel<kLanes, scalar_t>, call, from, to);
        } else {
          launch(output.numel(), forward_kernel<1, scalar_t>, call, from, to);
        }
      });
}

void backward_cuda(const at::Tensor& grad_output, const at::Tensor& boxes, const Grid& grid,
                   at::Tensor& grad_features) {
  at::globalContext().alertNotDeterministic("roi_align_backward on CUDA");
  const c10::cuda::CUDAGuard guard(grad_output.device());
  AT_DISPATCH_FLOATING_TYPES_AND2(
      at::kHalf, at::kBFloat16, grad_output.scalar_type(), "roi_align_backward", [&] {
        const auto call = make_call<scalar_t>(grad_features, boxes, grid);
        const auto* from = grad_output.const_data_ptr<scalar_t>();
        auto* to = grad_features.mutable_data_ptr<typename Call<scalar_t>::Real>();
        launch(grad_output.numel(), backward_kernel<scalar_t>, call, from, to);
      });
}

}  // namespace groma::ops::roi_align_kernel
