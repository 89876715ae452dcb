#include "regions/select.h"

#include <ATen/ATen.h>

#include "ops/nms.h"
#include "regions/boxes.h"

namespace groma {

at::Tensor fuse_scores(const at::Tensor& coco_logits, const at::Tensor& sa1b_logits) {
  return (coco_logits.sigmoid().pow(0.4) * sa1b_logits.sigmoid().pow(0.6)).squeeze(-1);
}

Selection select_regions(const at::Tensor& boxes_cxcywh, const at::Tensor& scores,
                         const at::Tensor& user_boxes, const SelectConfig& config) {
  Selection out;
  out.candidate_boxes = at::cat({boxes_cxcywh, user_boxes.to(boxes_cxcywh.options())});
  out.candidate_scores = at::cat({scores, at::ones({user_boxes.size(0)}, scores.options())});
  out.kept = ops::nms(cxcywh_to_xyxy(out.candidate_boxes), out.candidate_scores, config.nms_iou,
                      config.box_score, config.max_regions);
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
