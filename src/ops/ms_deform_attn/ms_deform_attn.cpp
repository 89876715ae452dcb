#include "ops/ms_deform_attn/ms_deform_attn.h"

#include <ATen/OpMathType.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <limits>

#include "ops/device.h"
#include "ops/ms_deform_attn/ms_deform_attn_loops.h"

namespace groma::ops {
namespace {

using ms_deform_attn_kernel::InputGradients;
using ms_deform_attn_kernel::Inputs;
using ms_deform_attn_kernel::kMaxLevels;
using ms_deform_attn_kernel::Shapes;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

void check_shapes(const at::Tensor& value, const Shapes& shapes) {
  TORCH_CHECK(!shapes.empty() && shapes.size() <= kMaxLevels, "ms_deform_attn: got ", shapes.size(),
              " levels, expected 1 to ", kMaxLevels);
  int64_t positions = 0;
  for (const auto& [height, width] : shapes) {
    TORCH_CHECK(height > 0 && width > 0 && height < std::numeric_limits<int>::max() &&
                    width < std::numeric_limits<int>::max(),
                "ms_deform_attn: a level is ", height, "x", width,
                ", each side must be at least 1");
    positions += height * width;
    if (positions > value.size(1)) break;
  }
  TORCH_CHECK(positions == value.size(1), "ms_deform_attn: value holds ", value.size(1),
              " positions, the levels hold ", positions);
}

void check_arguments(const at::Tensor& value, const Shapes& shapes, const at::Tensor& locations,
                     const at::Tensor& weights) {
  check_device("ms_deform_attn", value);
  TORCH_CHECK(value.dim() == 4, "ms_deform_attn: value is ", value.sizes(),
              ", expected [B, N, heads, C]");
  check_shapes(value, shapes);
  const auto levels = static_cast<int64_t>(shapes.size());
  TORCH_CHECK(locations.dim() == 6 && locations.size(0) == value.size(0) &&
                  locations.size(2) == value.size(2) && locations.size(3) == levels &&
                  locations.size(5) == 2,
              "ms_deform_attn: sampling locations are ", locations.sizes(), ", expected [",
              value.size(0), ", Q, ", value.size(2), ", ", levels, ", P, 2]");
  TORCH_CHECK(weights.sizes() == locations.sizes().slice(0, 5),
              "ms_deform_attn: attention weights are ", weights.sizes(), ", expected ",
              locations.sizes().slice(0, 5));
  for (const auto* tensor : {&value, &locations, &weights}) {
    TORCH_CHECK(tensor->is_floating_point(), "ms_deform_attn: got a tensor of ",
                tensor->scalar_type(), ", expected floating types");
    TORCH_CHECK(tensor->device() == value.device(), "ms_deform_attn: value lies on ",
                value.device(), ", another tensor on ", tensor->device());
  }
}

class MsDeformAttn : public torch::autograd::Function<MsDeformAttn> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& value,
                            const at::Tensor& locations, const at::Tensor& weights,
                            const Shapes& shapes) {
    const Inputs inputs{value.contiguous(), locations.contiguous(), weights.contiguous(), shapes};
    at::Tensor output = at::empty({value.size(0), locations.size(1), value.size(2) * value.size(3)},
                                  value.options());
    if (output.numel() > 0) {
      if (value.is_cpu()) ms_deform_attn_kernel::forward_cpu(inputs, output);
      if constexpr (kWithCuda) {
        if (value.is_cuda()) ms_deform_attn_kernel::forward_cuda(inputs, output);
      }
    }
    context->save_for_backward({inputs.value, inputs.locations, inputs.weights});
    std::vector<int64_t> sides;
    for (const auto& [height, width] : shapes) sides.insert(sides.end(), {height, width});
    context->saved_data["sides"] = sides;
    return output;
  }

  static variable_list backward(AutogradContext* context, const variable_list& grad_outputs) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "ms_deform_attn: has first derivatives only");
    const variable_list saved = context->get_saved_variables();
    Inputs inputs{saved[0], saved[1], saved[2], {}};
    const auto sides = context->saved_data["sides"].toIntVector();
    for (size_t i = 0; i < sides.size(); i += 2) inputs.shapes.push_back({sides[i], sides[i + 1]});

    // Sums are kept in the type of the locations, which is the opmath type.
    const auto options = inputs.locations.options();
    InputGradients gradients{at::zeros(inputs.value.sizes(), options),
                             at::zeros(inputs.locations.sizes(), options),
                             at::zeros(inputs.weights.sizes(), options)};
    const at::Tensor grad_output = grad_outputs[0].contiguous();
    if (grad_output.numel() > 0) {
      if (grad_output.is_cpu()) {
        ms_deform_attn_kernel::backward_cpu(inputs, grad_output, gradients);
      }
      if constexpr (kWithCuda) {
        if (grad_output.is_cuda()) {
          ms_deform_attn_kernel::backward_cuda(inputs, grad_output, gradients);
        }
      }
    }
    return {gradients.value.to(grad_output.scalar_type()), gradients.locations, gradients.weights,
            at::Tensor()};
  }
};

}  // namespace

at::Tensor ms_deform_attn(const at::Tensor& value,
                          const std::vector<std::array<int64_t, 2>>& shapes,
                          const at::Tensor& sampling_locations,
                          const at::Tensor& attention_weights) {
  check_arguments(value, shapes, sampling_locations, attention_weights);
  const auto real = at::toOpMathType(value.scalar_type());
  return MsDeformAttn::apply(value, sampling_locations.to(real), attention_weights.to(real),
                             shapes);
}

}  // namespace groma::ops
