#include "train/detection_loss.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "check.h"
#include "regions/boxes.h"
#include "train/matcher.h"

namespace groma::train {
namespace {

at::Tensor area(const at::Tensor& boxes) {
  return (boxes.select(-1, 2) - boxes.select(-1, 0)) * (boxes.select(-1, 3) - boxes.select(-1, 1));
}

/// Width times height of [..., 2] extents, nothing where one is negative.
at::Tensor product(const at::Tensor& extents) {
  const auto clamped = extents.clamp_min(0);
  return clamped.select(-1, 0) * clamped.select(-1, 1);
}

/// Intersection and union, boxes broadcast against one another.
std::pair<at::Tensor, at::Tensor> overlap(const at::Tensor& a, const at::Tensor& b) {
  const auto low = at::maximum(a.narrow(-1, 0, 2), b.narrow(-1, 0, 2));
  const auto high = at::minimum(a.narrow(-1, 2, 2), b.narrow(-1, 2, 2));
  const auto shared = product(high - low);
  return {shared, area(a) + area(b) - shared};
}

at::Tensor giou(const at::Tensor& a, const at::Tensor& b) {
  constexpr double kTiny = 1e-9;
  const auto [shared, joined] = overlap(a, b);
  const auto low = at::minimum(a.narrow(-1, 0, 2), b.narrow(-1, 0, 2));
  const auto high = at::maximum(a.narrow(-1, 2, 2), b.narrow(-1, 2, 2));
  const auto hull = product(high - low);
  return shared / (joined + kTiny) - (hull - joined) / (hull + kTiny);
}

/// Matched predictions of a whole batch.
struct Matches {
  at::Tensor image, query;  // [M] int64
  at::Tensor truth_cxcywh;  // [M, 4]
};

Matches match(const at::Tensor& logits, const at::Tensor& boxes, const std::vector<BoxTruth>& truth,
              const DetectionWeights& weights) {
  const at::NoGradGuard no_gradients;
  std::vector<int64_t> image, query;
  std::vector<at::Tensor> targets;
  for (size_t b = 0; b < truth.size(); ++b) {
    const auto& wanted = truth[b].boxes_cxcywh;
    if (wanted.size(0) == 0) continue;
    const auto at = static_cast<int64_t>(b);
    const auto cost = matching_cost(logits[at].select(-1, 0), boxes[at], wanted, weights);
    require(at::isfinite(cost).all().item<bool>(),
            "train: boxes or scores of the proposer are not finite any more; the last checkpoint "
            "is good: lower the rate and resume");
    const auto query_of = assign(cost.t());
    for (int64_t g = 0; g < wanted.size(0); ++g) {
      if (query_of[g] < 0) continue;
      image.push_back(at);
      query.push_back(query_of[g]);
      targets.push_back(wanted[g]);
    }
  }
  const auto stacked = targets.empty() ? at::zeros({0, 4}, boxes.device()) : at::stack(targets);
  const auto numbers = boxes.options().dtype(at::kLong);
  return {at::tensor(image, numbers), at::tensor(query, numbers), stacked};
}

struct LayerOutput {
  at::Tensor first_logits, second_logits;  // [B, Q, 1]; the second undefined in the first stage
  at::Tensor boxes_cxcywh;                 // [B, Q, 4] in [0, 1]
};

/// Loss of a score head over the images that supervise it.
at::Tensor class_loss(const at::Tensor& logits, const at::Tensor& targets, bool quality) {
  const auto x = logits.select(-1, 0);
  return (quality ? quality_focal_loss(x, targets) : focal_loss(x, targets)).sum(1);  // [B]
}

DetectionLoss layer_loss(const LayerOutput& output, const std::vector<BoxTruth>& truth,
                         const DetectionWeights& weights, ScoreHeads heads, double count) {
  const auto score = [&] {
    if (!output.second_logits.defined() || heads == ScoreHeads::kQuality) {
      return output.first_logits;
    }
    return at::maximum(output.first_logits, output.second_logits);
  }();
  const auto matches = match(score, output.boxes_cxcywh, truth, weights);
  const auto boxes = output.boxes_cxcywh.index({matches.image, matches.query});  // [M, 4]
  const auto boxes_xyxy = cxcywh_to_xyxy(boxes);
  const auto truth_xyxy = cxcywh_to_xyxy(matches.truth_cxcywh);

  const auto queries = output.first_logits.sizes().slice(0, 2);
  const auto device = output.first_logits.device();
  auto there = at::zeros(queries, device);
  there.index_put_({matches.image, matches.query}, 1.0);
  DetectionLoss loss;
  if (!output.second_logits.defined()) {
    loss.classification = class_loss(output.first_logits, there, false).sum() / count;
  } else if (heads == ScoreHeads::kQuality) {
    auto quality = at::zeros(queries, device);
    quality.index_put_({matches.image, matches.query}, paired_iou(boxes_xyxy, truth_xyxy).detach());
    loss.classification = (class_loss(output.first_logits, there, false) +
                           class_loss(output.second_logits, quality, true))
                              .sum() /
                          (2 * count);
  } else {
    std::vector<float> segments;
    for (const auto& image : truth) segments.push_back(image.segments ? 1.0f : 0.0f);
    const auto second = at::tensor(segments, device);
    loss.classification = (class_loss(output.first_logits, there, false) * (1 - second) +
                           class_loss(output.second_logits, there, false) * second)
                              .sum() /
                          count;
  }
  loss.l1 = (boxes - matches.truth_cxcywh).abs().sum() / count;
  loss.giou = (1 - paired_giou(boxes_xyxy, truth_xyxy)).sum() / count;
  loss.total = weights.classification * loss.classification + weights.l1 * loss.l1 +
               weights.giou * loss.giou;
  return loss;
}

}  // namespace

at::Tensor paired_giou(const at::Tensor& a_xyxy, const at::Tensor& b_xyxy) {
  return giou(a_xyxy, b_xyxy);
}

at::Tensor paired_iou(const at::Tensor& a_xyxy, const at::Tensor& b_xyxy) {
  const auto [shared, joined] = overlap(a_xyxy, b_xyxy);
  return shared / joined.clamp_min(1e-9);
}

at::Tensor focal_loss(const at::Tensor& logits, const at::Tensor& targets, double alpha,
                      double gamma) {
  const auto p = logits.sigmoid();
  const auto entropy =
      at::binary_cross_entropy_with_logits(logits, targets, {}, {}, at::Reduction::None);
  const auto missed = p * (1 - targets) + (1 - p) * targets;  // 1 - p_t
  const auto balance = alpha * targets + (1 - alpha) * (1 - targets);
  return balance * missed.pow(gamma) * entropy;
}

at::Tensor quality_focal_loss(const at::Tensor& logits, const at::Tensor& targets, double beta) {
  const auto entropy =
      at::binary_cross_entropy_with_logits(logits, targets, {}, {}, at::Reduction::None);
  return (targets - logits.sigmoid()).abs().pow(beta) * entropy;
}

at::Tensor matching_cost(const at::Tensor& logits, const at::Tensor& boxes_cxcywh,
                         const at::Tensor& truth_cxcywh, const DetectionWeights& weights) {
  constexpr double kAlpha = 0.25, kGamma = 2;
  const auto p = logits.sigmoid();
  const auto there = kAlpha * (1 - p).pow(kGamma) * -at::log_sigmoid(logits);
  const auto absent = (1 - kAlpha) * p.pow(kGamma) * -at::log_sigmoid(-logits);
  const auto distance = at::cdist(boxes_cxcywh, truth_cxcywh, 1);  // [Q, G]
  const auto closeness =
      giou(cxcywh_to_xyxy(boxes_cxcywh).unsqueeze(1), cxcywh_to_xyxy(truth_cxcywh).unsqueeze(0));
  return weights.classification * (there - absent).unsqueeze(1) + weights.l1 * distance -
         weights.giou * closeness;
}

DetectionLoss detection_loss(ProposerImpl& proposer, const Proposals& proposals,
                             const std::vector<BoxTruth>& truth, const DetectionWeights& weights,
                             ScoreHeads heads) {
  double count = 0;
  for (const auto& image : truth) count += static_cast<double>(image.boxes_cxcywh.size(0));
  count = std::max(count, 1.0);
  const LayerOutput first{proposals.encoder_scores, {}, proposals.encoder_boxes.sigmoid()};
  auto total = layer_loss(first, truth, weights, heads, count).total;
  // A layer's boxes start from those of the layer before, which learn from their own loss alone.
  auto detached = proposals;
  for (auto& reference : detached.references) reference = reference.detach();
  DetectionLoss loss;
  for (size_t l = 0; l < proposals.decoder.size(); ++l) {
    const auto& x = proposals.decoder[l];
    const LayerOutput output{proposer.class_embed_coco[l]->as<nn::Linear>()->forward(x),
                             proposer.class_embed_sa1b[l]->as<nn::Linear>()->forward(x),
                             proposer.refined_boxes(detached, static_cast<int64_t>(l)).sigmoid()};
    loss = layer_loss(output, truth, weights, heads, count);
    total = total + loss.total;
  }
  loss.total = total;
  return loss;
}

}  // namespace groma::train
