#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "ops/ms_deform_attn/ms_deform_attn_loops.h"

namespace groma::ops::ms_deform_attn_kernel {
namespace {

constexpr int kLanes =
    64;  // channels of one call of the body: the sums stay in the first-level cache

constexpr int64_t kGrain = 128;  // items, some 20 us: less is not worth waking a thread

}  // namespace

void forward_cpu(const Inputs& inputs, at::Tensor& output) {
  AT_DISPATCH_FLOATING_TYPES_AND2(
      at::kHalf, at::kBFloat16, inputs.value.scalar_type(), "ms_deform_attn", [&] {
        const auto call = make_call<scalar_t>(inputs);
        auto* to = output.mutable_data_ptr<scalar_t>();
        const int64_t items = output.size(0) * output.size(1) * call.heads;
        at::parallel_for(0, items, kGrain, [&](int64_t begin, int64_t end) {
          for (int64_t item = begin; item < end; ++item) {
            for (int channel = 0; channel < call.channels; channel += kLanes) {
              forward_at<kLanes>(call, to, item, channel,
                                 std::min(kLanes, call.channels - channel));
            }
          }
        });
      });
}

void backward_cpu(const Inputs& inputs, const at::Tensor& grad_output, InputGradients& gradients) {
  AT_DISPATCH_FLOATING_TYPES_AND2(
      at::kHalf, at::kBFloat16, inputs.value.scalar_type(), "ms_deform_attn_backward", [&] {
        const auto call = make_call<scalar_t>(inputs);
        const auto to = gradient_pointers<typename Call<scalar_t>::Real>(gradients);
        const auto* from = grad_output.const_data_ptr<scalar_t>();
        // Queries share positions, heads do not: a worker owns a head of a batch entry and adds the
        // queries to it in a fixed order.
        const int64_t owners = inputs.value.size(0) * call.heads;
        at::parallel_for(0, owners, /*grain_size=*/1, [&](int64_t begin, int64_t end) {
          for (int64_t owner = begin; owner < end; ++owner) {
            const int64_t batch = owner / call.heads;
            const int64_t head = owner % call.heads;
            for (int64_t query = 0; query < call.queries; ++query) {
              const int64_t item = (batch * call.queries + query) * call.heads + head;
              backward_at(call, from, to, item, /*channel=*/0, call.channels);
            }
          }
        });
      });
}

}  // namespace groma::ops::ms_deform_attn_kernel
