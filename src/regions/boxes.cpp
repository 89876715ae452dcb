#include "regions/boxes.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace groma {

at::Tensor cxcywh_to_xyxy(const at::Tensor& boxes_cxcywh) {
  const auto center = boxes_cxcywh.narrow(-1, 0, 2);
  const auto half = 0.5 * boxes_cxcywh.narrow(-1, 2, 2);
  return at::cat({center - half, center + half}, -1);
}

at::Tensor pairwise_iou(const at::Tensor& a_xyxy, const at::Tensor& b_xyxy) {
  const auto area = [](const at::Tensor& boxes) {
    return (boxes.narrow(-1, 2, 2) - boxes.narrow(-1, 0, 2)).clamp_min(0).prod(-1);
  };
  const auto a = a_xyxy.unsqueeze(1), b = b_xyxy.unsqueeze(0);
  const auto low = at::maximum(a.narrow(-1, 0, 2), b.narrow(-1, 0, 2));
  const auto high = at::minimum(a.narrow(-1, 2, 2), b.narrow(-1, 2, 2));
  const auto shared = (high - low).clamp_min(0).prod(-1);  // [M, K]
  const auto all = area(a_xyxy).unsqueeze(1) + area(b_xyxy).unsqueeze(0) - shared;
  return at::where(all > 0, shared / all, at::zeros_like(all));
}

at::Tensor to_network_boxes(const std::vector<Box>& boxes, int width, int height) {
  auto result = at::empty({static_cast<int64_t>(boxes.size()), 4}, at::kFloat);
  auto* out = result.data_ptr<float>();
  for (const auto& box : boxes) {
    *out++ = (box.x1 + box.x2) / 2 / static_cast<float>(width);
    *out++ = (box.y1 + box.y2) / 2 / static_cast<float>(height);
    *out++ = (box.x2 - box.x1) / static_cast<float>(width);
    *out++ = (box.y2 - box.y1) / static_cast<float>(height);
  }
  return result;
}

std::vector<Box> to_pixel_boxes(const at::Tensor& boxes_cxcywh, int width, int height) {
  const auto xyxy = cxcywh_to_xyxy(boxes_cxcywh).to(at::kCPU, at::kFloat).contiguous();
  const auto* in = xyxy.data_ptr<float>();
  const auto w = static_cast<float>(width), h = static_cast<float>(height);
  std::vector<Box> boxes(static_cast<size_t>(xyxy.size(0)));
  for (auto& box : boxes) {
    box = {std::clamp(in[0] * w, 0.f, w), std::clamp(in[1] * h, 0.f, h),
           std::clamp(in[2] * w, 0.f, w), std::clamp(in[3] * h, 0.f, h)};
    in += 4;
  }
  return boxes;
}

}  // namespace groma
