#include "ops/nms.h"

#include <ATen/ops/tensor.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace groma::ops {
namespace {

// The reference multiplies the union instead of dividing by it. That decides for inverted boxes: a
// negative union makes the pair overlap, and only the earlier box stays.
bool overlap(const float* a, const float* b, float iou_threshold) {
  const float width = std::max(std::min(a[2], b[2]) - std::max(a[0], b[0]), 0.0f);
  const float height = std::max(std::min(a[3], b[3]) - std::max(a[1], b[1]), 0.0f);
  const float shared = width * height;
  const float area_a = (a[2] - a[0]) * (a[3] - a[1]);
  const float area_b = (b[2] - b[0]) * (b[3] - b[1]);
  return shared > iou_threshold * (area_a + area_b - shared);
}

}  // namespace

at::Tensor nms(const at::Tensor& boxes_xyxy, const at::Tensor& scores, double iou_threshold,
               double score_threshold, int64_t max_kept) {
  TORCH_CHECK(boxes_xyxy.dim() == 2 && boxes_xyxy.size(1) == 4, "nms: boxes are ",
              boxes_xyxy.sizes(), ", expected [M, 4]");
  TORCH_CHECK(scores.dim() == 1 && scores.size(0) == boxes_xyxy.size(0), "nms: scores are ",
              scores.sizes(), ", expected [", boxes_xyxy.size(0), "]");
  TORCH_CHECK(boxes_xyxy.is_floating_point() && scores.is_floating_point(), "nms: boxes are ",
              boxes_xyxy.scalar_type(), ", scores ", scores.scalar_type(),
              ", expected floating types");
  TORCH_CHECK(max_kept >= 0, "nms: max_kept is ", max_kept, ", must not be negative");

  // A few hundred boxes: on the host whatever their device.
  const at::Tensor boxes = boxes_xyxy.detach().to(at::kCPU, at::kFloat).contiguous();
  const at::Tensor host_scores = scores.detach().to(at::kCPU, at::kFloat).contiguous();
  const auto* box = boxes.const_data_ptr<float>();
  const auto* score = host_scores.const_data_ptr<float>();

  std::vector<int64_t> order;
  for (int64_t i = 0; i < host_scores.size(0); ++i) {
    // Without a threshold -infinity takes part, NaN never does: it could not be sorted.
    const bool passes = score_threshold > 0 ? score[i] > static_cast<float>(score_threshold)
                                            : !std::isnan(score[i]);
    if (passes) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return score[a] > score[b]; });

  const auto threshold = static_cast<float>(iou_threshold);
  std::vector<int64_t> kept;
  for (const int64_t candidate : order) {
    if (static_cast<int64_t>(kept.size()) >= max_kept) break;
    const bool free = std::none_of(kept.begin(), kept.end(), [&](int64_t earlier) {
      return overlap(box + 4 * earlier, box + 4 * candidate, threshold);
    });
    if (free) kept.push_back(candidate);
  }
  return at::tensor(kept, at::dtype(at::kLong)).to(boxes_xyxy.device());
}

}  // namespace groma::ops
