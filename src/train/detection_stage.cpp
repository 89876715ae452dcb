#include "train/detection_stage.h"

#include <ATen/ATen.h>

#include "check.h"
#include "regions/boxes.h"
#include "regions/select.h"
#include "train/matcher.h"
#include "train/scene_batch.h"
#include "train/word_table.h"

namespace groma::train {
namespace {

/// Which image of the batch each box belongs to.
at::Tensor image_of(const std::vector<BoxTruth>& truth) {
  std::vector<at::Tensor> parts;
  for (size_t b = 0; b < truth.size(); ++b) {
    const auto& boxes = truth[b].boxes_cxcywh;
    parts.push_back(at::full({boxes.size(0)}, static_cast<double>(b), boxes.options()));
  }
  return at::cat(parts);
}

std::vector<const SceneObject*> objects_of(const SceneBatch& batch) {
  std::vector<const SceneObject*> result;
  for (const auto& scene : batch.scenes) {
    for (const auto& object : scene.objects) result.push_back(&object);
  }
  return result;
}

at::Tensor boxes_of(const SceneBatch& batch) {
  std::vector<at::Tensor> parts;
  for (const auto& truth : batch.truth) parts.push_back(truth.boxes_cxcywh);
  return at::cat(parts);
}

/// Share of true boxes covered one to one with at least this IoU.
double recall(const at::Tensor& iou, double threshold) {
  // Best pairs first, each box once: maximal matching by cost.
  const auto cost = -(iou * iou.ge(threshold));
  const auto column = assign(cost);
  double found = 0;
  for (int64_t g = 0; g < iou.size(0); ++g) {
    if (column[g] >= 0 && iou[g][column[g]].item<double>() >= threshold) ++found;
  }
  return found;
}

}  // namespace

World world_named(const std::string& name) {
  if (name == "shapes") return World::kShapes;
  if (name == "things") return World::kThings;
  require(name == "both", "train: world '", name, "'; it is shapes, things or both");
  return World::kBoth;
}

void add_proposal_metrics(Metrics& metrics, const at::Tensor& boxes_cxcywh,
                          const at::Tensor& scores, const at::Tensor& truth,
                          const SelectConfig& select) {
  const auto truth_xyxy = cxcywh_to_xyxy(truth);
  const auto all = pairwise_iou(truth_xyxy, cxcywh_to_xyxy(boxes_cxcywh)).to(at::kCPU);
  const auto count = static_cast<double>(truth.size(0));
  metrics["AR50"] += recall(all, 0.5);
  metrics["n.AR50"] += count;
  for (int i = 0; i < 10; ++i) metrics["AR"] += recall(all, 0.5 + 0.05 * i) / 10;
  metrics["n.AR"] += count;
  const auto kept = select_regions(boxes_cxcywh, scores, at::zeros({0, 4}), select);
  const auto iou = pairwise_iou(truth_xyxy, cxcywh_to_xyxy(kept.boxes_cxcywh)).to(at::kCPU);
  const double found = recall(iou, 0.5);
  metrics["kept AR50"] += found;
  metrics["n.kept AR50"] += count;
  metrics["kept precision"] += found;
  metrics["n.kept precision"] += static_cast<double>(kept.boxes_cxcywh.size(0));
}

Stage detection_stage(const Recipe& recipe, const ModelConfig& config, const StageData& data,
                      uint64_t seed, at::Device device) {
  require(!data.training->has_segments() || recipe.score_heads == ScoreHeads::kAnnotation,
          "train: a source is SA-1B or has \"segments\", for which the recipe needs "
          "\"score_heads\": \"annotation\"");
  WorldOptions world;
  world.world = world_named(recipe.world);
  world.size = static_cast<int>(config.vision.image_size);
  world.small_share = recipe.small_share;
  world.hidden_share = recipe.hidden_share;
  const auto words = std::make_shared<WordTable>(world.world, config.language.hidden, device);

  Stage stage;
  stage.losses = [=](GromaModelImpl& model, const Work& work) {
    auto batch = data.training->batch(world, work.seed, work.first, work.count);
    batch.move_to(device);
    Random random(entry_seed(work.seed ^ 0x6a69747465720000ull, work.first));
    const auto hidden = model.see(batch.pixels);
    const auto proposals = model.propose(hidden);
    const auto detection =
        detection_loss(*model.proposer, proposals, batch.truth, {}, recipe.score_heads);
    Losses losses;
    losses.add("detection", detection.total, recipe.loss("detection"));
    losses.metrics["class"] = detection.classification.item<double>();
    losses.metrics["l1"] = detection.l1.item<double>();
    losses.metrics["giou"] = detection.giou.item<double>();
    if (recipe.loss("attributes") > 0) {
      constexpr double kJitter = 0.05;
      const auto boxes = jittered(boxes_of(batch), kJitter, random);
      const auto tokens =
          model.region_encoder->roi_align(model.fuse_maps(hidden), boxes, image_of(batch.truth));
      at::Tensor right;
      losses.add("attributes", words->loss(tokens, objects_of(batch), &right),
                 recipe.loss("attributes"));
      losses.metrics["kind right"] = right.select(1, 3).mean().item<double>();
    }
    return losses;
  };
  if (!data.validation) return stage;
  stage.validate = [=](GromaModelImpl& model, int64_t first, int64_t count) {
    auto held_out = world;
    held_out.test = true;
    Metrics metrics;
    for (int64_t i = first; i < first + count; ++i) {
      auto batch = data.validation->batch(held_out, seed, i, 1);
      batch.move_to(device);
      const auto hidden = model.see(batch.pixels);
      const auto proposals = model.propose(hidden);
      const auto scores = fuse_scores(proposals.coco_logits, proposals.sa1b_logits)[0];
      const auto& truth = batch.truth[0].boxes_cxcywh;
      add_proposal_metrics(metrics, proposals.boxes_cxcywh[0], scores, truth, config.select);
      if (recipe.loss("attributes") == 0) continue;
      at::Tensor right;
      words->loss(model.region_tokens(model.fuse_maps(hidden), truth), objects_of(batch), &right);
      metrics["kind"] += right.select(1, 3).sum().item<double>();
      metrics["n.kind"] += static_cast<double>(right.size(0));
      metrics["all words"] += right.amin(1).sum().item<double>();
      metrics["n.all words"] += static_cast<double>(right.size(0));
    }
    return metrics;
  };
  return stage;
}

}  // namespace groma::train
