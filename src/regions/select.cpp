#include "regions/select.h"

#include <ATen/ATen.h>

#include "check.h"
#include "ops/nms.h"
#include "regions/boxes.h"

namespace groma {
namespace {

constexpr double kSmallArea = 1.0 / 300;  // of the picture: COCO's 32 x 32 pixels in 640 x 480

/// The first `most` of `kept`, which are in order of score, with room for small boxes among them.
at::Tensor guard_small(const at::Tensor& kept, const at::Tensor& boxes_cxcywh, int64_t most,
                       double small_share) {
  if (kept.size(0) <= most) return kept;
  const auto sides = boxes_cxcywh.index_select(0, kept).narrow(1, 2, 2);
  const auto small = sides.prod(1).lt(kSmallArea).to(at::kLong);
  const auto room = static_cast<int64_t>(small_share * static_cast<double>(most));
  const auto guarded = small.mul(small.cumsum(0).le(room));
  // What is not guarded fills the rest, best first.
  const auto others = most - guarded.sum().item<int64_t>();
  const auto free = guarded.eq(0).to(at::kLong);
  const auto taken = guarded.add(free.mul(free.cumsum(0).le(others)));
  return kept.index_select(0, taken.nonzero().squeeze(1));
}

}  // namespace

at::Tensor fuse_scores(const at::Tensor& coco_logits, const at::Tensor& sa1b_logits) {
  return (coco_logits.sigmoid().pow(0.4) * sa1b_logits.sigmoid().pow(0.6)).squeeze(-1);
}

Selection select_regions(const at::Tensor& boxes_cxcywh, const at::Tensor& scores,
                         const at::Tensor& user_boxes, const SelectConfig& config) {
  require(
      at::isfinite(boxes_cxcywh).all().item<bool>() && at::isfinite(scores).all().item<bool>(),
      "choose regions: the model's boxes or scores hold NaN or infinity; its weights are damaged "
      "or too large for this dtype: get them again or compute in fp32");
  Selection out;
  out.candidate_boxes = at::cat({boxes_cxcywh, user_boxes.to(boxes_cxcywh.options())});
  out.candidate_scores = at::cat({scores, at::ones({user_boxes.size(0)}, scores.options())});
  out.kept = ops::nms(cxcywh_to_xyxy(out.candidate_boxes), out.candidate_scores, config.nms_iou,
                      config.box_score,
                      config.small_share > 0 ? out.candidate_scores.size(0) : config.max_regions);
  out.kept = guard_small(out.kept, out.candidate_boxes, config.max_regions, config.small_share);
  if (out.kept.size(0) == 0) out.kept = out.candidate_scores.argmax(0, /*keepdim=*/true);
  out.boxes_cxcywh = out.candidate_boxes.index_select(0, out.kept);
  out.scores = out.candidate_scores.index_select(0, out.kept);
  return out;
}

std::vector<int64_t> match_regions(const at::Tensor& wanted, const at::Tensor& regions) {
  const auto best =
      pairwise_iou(cxcywh_to_xyxy(wanted), cxcywh_to_xyxy(regions.to(wanted.options())))
          .argmax(1)
          .to(at::kCPU)
          .contiguous();
  return {best.data_ptr<int64_t>(), best.data_ptr<int64_t>() + best.numel()};
}

}  // namespace groma
