#include "train/region_samples.h"

#include <ATen/ATen.h>

#include <numeric>

#include "regions/boxes.h"
#include "regions/select.h"
#include "train/stage.h"

namespace groma::train {
namespace {

constexpr double kMatch = 0.5;  // least IoU of a region and the object that it shows

std::vector<int64_t> shuffled(int64_t count, Random& random) {
  std::vector<int64_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  random.shuffle(order);
  return order;
}

/// Boxes anywhere that overlap no true one much.
at::Tensor empty_boxes(const at::Tensor& truth_cxcywh, int count, Random& random) {
  constexpr double kMost = 0.4;
  std::vector<at::Tensor> boxes;
  for (int tries = 0; tries < 4 * count && static_cast<int>(boxes.size()) < count; ++tries) {
    const double width = random.uniform(0.07, 0.5), height = width * random.uniform(0.7, 1.4);
    const auto box = at::tensor({static_cast<float>(random.uniform(width / 2, 1 - width / 2)),
                                 static_cast<float>(random.uniform(0.2, 0.8)),
                                 static_cast<float>(width), static_cast<float>(height)})
                         .unsqueeze(0);
    const auto iou = pairwise_iou(cxcywh_to_xyxy(box), cxcywh_to_xyxy(truth_cxcywh));
    if (iou.numel() == 0 || iou.max().item<double>() < kMost) boxes.push_back(box);
  }
  return boxes.empty() ? at::zeros({0, 4}) : at::cat(boxes);
}

}  // namespace

void match_objects(SceneRegions& regions, const at::Tensor& truth_cxcywh) {
  const auto iou =
      pairwise_iou(cxcywh_to_xyxy(truth_cxcywh), cxcywh_to_xyxy(regions.boxes_cxcywh)).to(at::kCPU);
  const auto value = iou.accessor<float, 2>();
  regions.object_of.assign(iou.size(1), -1);
  regions.region_of.assign(iou.size(0), -1);
  for (int64_t r = 0; r < iou.size(1); ++r) {
    float best = kMatch;
    for (int64_t o = 0; o < iou.size(0); ++o) {
      if (value[o][r] > best) {
        best = value[o][r];
        regions.object_of[r] = o;
      }
    }
  }
  for (int64_t o = 0; o < iou.size(0); ++o) {
    float best = kMatch;
    for (int64_t r = 0; r < iou.size(1); ++r) {
      if (regions.object_of[r] == o && value[o][r] > best) {
        best = value[o][r];
        regions.region_of[o] = r;
      }
    }
  }
}

SceneRegions oracle_regions(GromaModelImpl& model, const Scene& scene, const WordTable& words,
                            Random& random) {
  constexpr double kOff = 0.06;
  constexpr int kMostEmpty = 5;
  const auto truth = truth_boxes(scene);
  const auto found = jittered(truth, kOff, random);
  const auto boxes = at::cat({found, empty_boxes(truth, random.between(0, kMostEmpty), random)});
  const auto order = shuffled(boxes.size(0), random);
  SceneRegions regions;
  regions.boxes_cxcywh = boxes.index_select(0, at::tensor(order, at::kLong));
  match_objects(regions, truth);
  const auto device = device_of(model);
  regions.boxes_cxcywh = regions.boxes_cxcywh.to(device);
  const auto width = model.config.language.hidden;
  std::vector<at::Tensor> features{at::zeros({0, width}, device)};
  for (const auto object : regions.object_of) {
    features.push_back(object < 0 ? at::zeros({1, width}, device)
                                  : words.oracle(scene.objects[object]).unsqueeze(0));
  }
  auto& pool = *model.region_encoder->roi_align;
  const auto places = pool.updims(pool.embed_boxes(regions.boxes_cxcywh)).to(at::kFloat);
  regions.tokens = at::cat(features) + places;
  return regions;
}

std::vector<SceneRegions> seen_regions(GromaModelImpl& model, const SceneBatch& batch,
                                       bool with_truth, Random& random, Proposals* proposals) {
  constexpr double kTruthScore = 0.2;
  std::vector<at::Tensor> hidden;
  Proposals seen;
  {
    const at::AutoGradMode gradients(proposals != nullptr && at::GradMode::is_enabled());
    hidden = model.see(batch.pixels);
    seen = model.propose(hidden);
  }
  if (proposals) *proposals = seen;
  const auto all_boxes = seen.boxes_cxcywh.detach();
  const auto all_scores = fuse_scores(seen.coco_logits.detach(), seen.sa1b_logits.detach());
  std::vector<SceneRegions> result(batch.scenes.size());
  std::vector<at::Tensor> boxes, images;
  for (size_t b = 0; b < batch.scenes.size(); ++b) {
    const auto at = static_cast<int64_t>(b);
    const auto& truth = batch.truth[b].boxes_cxcywh;
    auto candidates = all_boxes[at];
    auto scores = all_scores[at];
    if (with_truth) {
      candidates = at::cat({candidates, truth});
      scores = at::cat({scores, at::full({truth.size(0)}, kTruthScore, scores.options())});
    }
    const auto kept = select_regions(candidates, scores, at::zeros({0, 4}), model.config.select);
    const auto order = shuffled(kept.boxes_cxcywh.size(0), random);
    auto& regions = result[b];
    regions.boxes_cxcywh =
        kept.boxes_cxcywh.index_select(0, at::tensor(order, kept.kept.options()));
    match_objects(regions, truth);
    boxes.push_back(regions.boxes_cxcywh);
    images.push_back(
        at::full({regions.boxes_cxcywh.size(0)}, static_cast<double>(at), scores.options()));
  }
  const auto maps = model.fuse_maps(hidden);
  const auto tokens =
      model.region_encoder->roi_align(maps, at::cat(boxes), at::cat(images)).to(at::kFloat);
  const auto image_tokens = model.image_tokens(hidden).to(at::kFloat);
  int64_t first = 0;
  for (size_t b = 0; b < result.size(); ++b) {
    const auto count = boxes[b].size(0);
    result[b].tokens = tokens.narrow(0, first, count);
    result[b].image_tokens = image_tokens[static_cast<int64_t>(b)];
    first += count;
  }
  return result;
}

}  // namespace groma::train
