#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "ops/roi_align/roi_align_loops.h"

namespace groma::ops::roi_align_kernel {
namespace {

// Channels of one call of the body: the sums (1 KiB as float) stay in the first-level cache, and
// the arithmetic of the coordinates is spread over many channels.
constexpr int kForwardLanes = 256;

// Channels that one worker of the backward pass owns: a multiple of a cache line.
constexpr int kBackwardLanes = 64;

}  // namespace

void forward_cpu(const at::Tensor& features, const at::Tensor& boxes, const Grid& grid,
                 at::Tensor& output) {
  AT_DISPATCH_FLOATING_TYPES_AND2(
      at::kHalf, at::kBFloat16, features.scalar_type(), "roi_align", [&] {
        const auto call = make_call<scalar_t>(features, boxes, grid);
        const auto* from = features.const_data_ptr<scalar_t>();
        auto* to = output.mutable_data_ptr<scalar_t>();
        const int64_t cells = boxes.size(0) * grid.rows * grid.columns;
        at::parallel_for(0, cells, /*grain_size=*/grid.columns, [&](int64_t begin, int64_t end) {
          for (int64_t cell = begin; cell < end; ++cell) {
            for (int channel = 0; channel < call.channels; channel += kForwardLanes) {
              forward_at<kForwardLanes>(call, from, to, static_cast<int>(cell), channel,
                                        std::min(kForwardLanes, call.channels - channel));
            }
          }
        });
      });
}

void backward_cpu(const at::Tensor& grad_output, const at::Tensor& boxes, const Grid& grid,
                  at::Tensor& grad_features) {
  AT_DISPATCH_FLOATING_TYPES_AND2(
      at::kHalf, at::kBFloat16, grad_output.scalar_type(), "roi_align_backward", [&] {
        const auto call = make_call<scalar_t>(grad_features, boxes, grid);
        const auto* from = grad_output.const_data_ptr<scalar_t>();
        auto* to = grad_features.mutable_data_ptr<typename Call<scalar_t>::Real>();
        const int64_t cells = boxes.size(0) * grid.rows * grid.columns;
        // Boxes overlap, channels do not: a worker owns some channels and adds the cells to them in
        // a fixed order.
        const int64_t blocks = (call.channels + kBackwardLanes - 1) / kBackwardLanes;
        at::parallel_for(0, blocks, /*grain_size=*/1, [&](int64_t begin, int64_t end) {
          for (int64_t block = begin; block < end; ++block) {
            const int channel = static_cast<int>(block) * kBackwardLanes;
            const int lanes = std::min(kBackwardLanes, call.channels - channel);
            for (int64_t cell = 0; cell < cells; ++cell) {
              backward_at(call, from, to, static_cast<int>(cell), channel, lanes);
            }
          }
        });
      });
}

}  // namespace groma::ops::roi_align_kernel
