#include "ops/roi_align/roi_align.h"

#include <ATen/OpMathType.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <limits>

#include "ops/device.h"
#include "ops/roi_align/roi_align_loops.h"

namespace groma::ops {
namespace {

using roi_align_kernel::Grid;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kMaxInt = std::numeric_limits<int>::max();

void check_boxes(const at::Tensor& features, const at::Tensor& boxes) {
  TORCH_CHECK(boxes.dim() == 2 && boxes.size(1) == 5, "roi_align: boxes are ", boxes.sizes(),
              ", expected [R, 5]");
  TORCH_CHECK(boxes.scalar_type() == at::kFloat || boxes.scalar_type() == at::kDouble,
              "roi_align: boxes are ", boxes.scalar_type(), ", expected Float or Double");
  TORCH_CHECK(boxes.device() == features.device(), "roi_align: boxes lie on ", boxes.device(),
              ", features on ", features.device());
  // Read on the host: a wrong index would make the kernels read foreign memory.
  const at::Tensor images = boxes.detach().select(1, 0).to(at::kCPU, at::kDouble).contiguous();
  const auto* image = images.const_data_ptr<double>();
  for (int64_t i = 0; i < images.size(0); ++i) {
    TORCH_CHECK(image[i] >= 0 && image[i] < static_cast<double>(features.size(0)),
                "roi_align: box ", i, " names image ", image[i], ", the batch holds ",
                features.size(0));
  }
}

void check_arguments(const at::Tensor& features, const at::Tensor& boxes, const Grid& grid) {
  check_device("roi_align", features);
  TORCH_CHECK(features.dim() == 4 && features.size(2) > 0 && features.size(3) > 0,
              "roi_align: features are ", features.sizes(), ", expected [B, C, H, W]");
  TORCH_CHECK(features.is_floating_point(), "roi_align: features are ", features.scalar_type(),
              ", expected a floating type");
  TORCH_CHECK(
      features.size(1) < kMaxInt && features.size(2) < kMaxInt && features.size(3) < kMaxInt,
      "roi_align: features are ", features.sizes(), ", each size must be below ", kMaxInt);
  TORCH_CHECK(grid.rows > 0 && grid.columns > 0 && grid.sampling > 0, "roi_align: grid is ",
              grid.rows, "x", grid.columns, " with sampling ", grid.sampling,
              ", each must be at least 1");
  TORCH_CHECK(grid.rows <= kMaxInt && grid.columns <= kMaxInt / grid.rows &&
                  grid.sampling <= kMaxInt &&
                  boxes.numel() / 5 <= kMaxInt / grid.rows / grid.columns,
              "roi_align: ", boxes.sizes(), " boxes on a ", grid.rows, "x", grid.columns,
              " grid with sampling ", grid.sampling, ", at most ", kMaxInt, " cells");
  check_boxes(features, boxes);
}

class RoiAlign : public torch::autograd::Function<RoiAlign> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& features,
                            const at::Tensor& boxes, const Grid& grid) {
    const at::Tensor input = features.contiguous(at::MemoryFormat::ChannelsLast);
    at::Tensor output = at::empty({boxes.size(0), input.size(1), grid.rows, grid.columns},
                                  input.options().memory_format(at::MemoryFormat::ChannelsLast));
    if (output.numel() > 0) {
      if (input.is_cpu()) roi_align_kernel::forward_cpu(input, boxes, grid, output);
      if constexpr (kWithCuda) {
        if (input.is_cuda()) roi_align_kernel::forward_cuda(input, boxes, grid, output);
      }
    }
    context->save_for_backward({boxes});
    context->saved_data["sizes"] = features.sizes();
    context->saved_data["rows"] = grid.rows;
    context->saved_data["columns"] = grid.columns;
    context->saved_data["scale"] = grid.scale;
    context->saved_data["sampling"] = grid.sampling;
    return output;
  }

  static variable_list backward(AutogradContext* context, const variable_list& grad_outputs) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "roi_align: has first derivatives only");
    const at::Tensor boxes = context->get_saved_variables()[0];
    const Grid grid{context->saved_data["rows"].toInt(), context->saved_data["columns"].toInt(),
                    context->saved_data["scale"].toDouble(),
                    context->saved_data["sampling"].toInt()};
    const at::Tensor grad_output = grad_outputs[0].contiguous(at::MemoryFormat::ChannelsLast);
    // Sums are kept in the type of the boxes, which is the opmath type.
    at::Tensor grad_features =
        at::empty(context->saved_data["sizes"].toIntVector(),
                  boxes.options().memory_format(at::MemoryFormat::ChannelsLast))
            .zero_();
    if (grad_output.numel() > 0) {
      if (grad_output.is_cpu()) {
        roi_align_kernel::backward_cpu(grad_output, boxes, grid, grad_features);
      }
      if constexpr (kWithCuda) {
        if (grad_output.is_cuda()) {
          roi_align_kernel::backward_cuda(grad_output, boxes, grid, grad_features);
        }
      }
    }
    return {grad_features.to(grad_output.scalar_type()), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor roi_align(const at::Tensor& features, const at::Tensor& boxes, int64_t height,
                     int64_t width, double scale, int64_t sampling) {
  const Grid grid{height, width, scale, sampling};
  check_arguments(features, boxes, grid);
  const at::Tensor real_boxes =
      boxes.detach().to(at::toOpMathType(features.scalar_type())).contiguous();
  return RoiAlign::apply(features, real_boxes, grid);
}

}  // namespace groma::ops
