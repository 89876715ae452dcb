#include "train/detection_loss.h"

#include <ATen/CPUGeneratorImpl.h>

#include <cmath>

#include "support.h"

namespace groma::train {
namespace {

TEST(DetectionLoss, FocalLossIsTheFormula) {
  const std::vector<double> logits{-3, -0.5, 0, 0.7, 4};
  for (const double target : {0.0, 1.0}) {
    for (const double x : logits) {
      const double p = 1 / (1 + std::exp(-x));
      const double pt = target == 1 ? p : 1 - p, alpha = target == 1 ? 0.25 : 0.75;
      const double expected = -alpha * (1 - pt) * (1 - pt) * std::log(pt);
      const auto found = focal_loss(at::tensor({x}), at::tensor({target}));
      EXPECT_NEAR(found.item<double>(), expected, 1e-9);
    }
  }
}

TEST(DetectionLoss, QualityFocalLossIsLeastAtItsTarget) {
  for (const double target : {0.1, 0.5, 0.9}) {
    const double logit = std::log(target / (1 - target));
    const auto at_target = quality_focal_loss(at::tensor({logit}), at::tensor({target}));
    EXPECT_NEAR(at_target.item<double>(), 0, 1e-12);
    const double x = logit + 1, p = 1 / (1 + std::exp(-x));
    const double expected =
        (p - target) * (p - target) * -(target * std::log(p) + (1 - target) * std::log(1 - p));
    const auto beside = quality_focal_loss(at::tensor({x}), at::tensor({target}));
    EXPECT_NEAR(beside.item<double>(), expected, 1e-9);
  }
}

TEST(DetectionLoss, GiouOfKnownBoxes) {
  const auto a = at::tensor({0.0, 0.0, 2.0, 2.0, 0.0, 0.0, 1.0, 1.0}).view({2, 4});
  const auto b = at::tensor({1.0, 1.0, 3.0, 3.0, 2.0, 0.0, 3.0, 1.0}).view({2, 4});
  const auto found = paired_giou(a, b);
  EXPECT_NEAR(found[0].item<double>(), 1.0 / 7 - 2.0 / 9, 1e-6);  // hull 9, union 7
  EXPECT_NEAR(found[1].item<double>(), -1.0 / 3, 1e-6);           // hull 3, union 2
  EXPECT_NEAR(paired_iou(a, b)[0].item<double>(), 1.0 / 7, 1e-6);
}

TEST(DetectionLoss, MatchingPrefersTheCloseAndSureBox) {
  const auto boxes = at::tensor({0.2, 0.2, 0.1, 0.1, 0.7, 0.7, 0.2, 0.2}).view({2, 4});
  const auto truth = at::tensor({0.7, 0.7, 0.2, 0.2}).view({1, 4});
  const auto cost = matching_cost(at::tensor({0.0, 0.0}), boxes, truth, {});
  EXPECT_LT(cost[1][0].item<double>(), cost[0][0].item<double>());
  const auto sure = matching_cost(at::tensor({0.0, 3.0}), boxes, truth, {});
  EXPECT_LT(sure[1][0].item<double>(), cost[1][0].item<double>());
}

ProposerConfig tiny() {
  ProposerConfig config;
  config.d_model = 16;
  config.encoder_layers = config.decoder_layers = 2;
  config.encoder_heads = config.decoder_heads = 2;
  config.encoder_ffn = config.decoder_ffn = 24;
  config.levels = 1;
  config.queries = 9;
  config.box_hidden = 12;
  return config;
}

TEST(DetectionLoss, EveryHeadGetsAGradientAndNoBoxesAreFine) {
  Proposer proposer(tiny());
  auto random = at::make_generator<at::CPUGeneratorImpl>(3);
  for (auto& item : proposer->named_parameters()) {
    item.value().set_data(at::empty(item.value().sizes()).normal_(0, 0.1, random));
    item.value().requires_grad_(true);
  }
  const auto source = at::empty({2, 16, 5, 5}).normal_(0, 1, random);
  const std::vector<BoxTruth> truth{
      {at::tensor({0.3f, 0.3f, 0.2f, 0.2f, 0.7f, 0.6f, 0.3f, 0.4f}).view({2, 4})},
      {at::zeros({0, 4})}};
  const auto loss =
      detection_loss(*proposer, proposer->forward({source}), truth, {}, ScoreHeads::kQuality);
  EXPECT_TRUE(std::isfinite(loss.total.item<double>()));
  loss.total.backward();
  for (auto& item : proposer->named_parameters()) {
    EXPECT_TRUE(item.value().grad().defined()) << item.key();
  }
}

// An independent computation: plain loops in double, matching by trying every pair of queries.

double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }

double entropy(double x, double target) {
  return -(target * std::log(sigmoid_of(x)) + (1 - target) * std::log(sigmoid_of(-x)));
}

double plain_focal(double x, double target) {
  const double p = sigmoid_of(x);
  return target > 0 ? 0.25 * (1 - p) * (1 - p) * entropy(x, 1) : 0.75 * p * p * entropy(x, 0);
}

struct Overlap {
  double iou, giou;
};

Overlap overlap_of(const double* a, const double* b) {  // cxcywh
  double shared = 1, hull = 1;
  for (int axis = 0; axis < 2; ++axis) {
    const double low_a = a[axis] - a[axis + 2] / 2, high_a = a[axis] + a[axis + 2] / 2;
    const double low_b = b[axis] - b[axis + 2] / 2, high_b = b[axis] + b[axis + 2] / 2;
    shared *= std::max(0.0, std::min(high_a, high_b) - std::max(low_a, low_b));
    hull *= std::max(high_a, high_b) - std::min(low_a, low_b);
  }
  const double joined = a[2] * a[3] + b[2] * b[3] - shared;
  return {shared / joined, shared / joined - (hull - joined) / hull};
}

/// Loss of one layer for one image with two true boxes.
double plain_layer_loss(const at::Tensor& first, const at::Tensor& second, const at::Tensor& boxes,
                        const at::Tensor& truth, ScoreHeads heads, bool segments, double count) {
  const auto a = first.to(at::kDouble), box = boxes.to(at::kDouble).contiguous(),
             wanted = truth.to(at::kDouble).contiguous();
  const auto b = second.defined() ? second.to(at::kDouble) : at::Tensor();
  const auto queries = a.size(0);
  const auto at_box = [](const at::Tensor& t, int64_t i) {
    return t.const_data_ptr<double>() + 4 * i;
  };
  const bool both = b.defined() && heads == ScoreHeads::kAnnotation;
  const auto cost = [&](int64_t q, int64_t g) {
    double x = a[q].item<double>();
    if (both) x = std::max(x, b[q].item<double>());
    double distance = 0;
    for (int i = 0; i < 4; ++i) distance += std::abs(at_box(box, q)[i] - at_box(wanted, g)[i]);
    return 2 * (plain_focal(x, 1) - plain_focal(x, 0)) + 5 * distance -
           2 * overlap_of(at_box(box, q), at_box(wanted, g)).giou;
  };
  int64_t best[2] = {0, 1};
  double least = 1e300;
  for (int64_t i = 0; i < queries; ++i) {
    for (int64_t j = 0; j < queries; ++j) {
      if (i == j || cost(i, 0) + cost(j, 1) >= least) continue;
      least = cost(i, 0) + cost(j, 1);
      best[0] = i;
      best[1] = j;
    }
  }
  double classes = 0, distance = 0, giou = 0;
  for (int64_t q = 0; q < queries; ++q) {
    double there = 0, quality = 0;
    for (int64_t g = 0; g < 2; ++g) {
      if (best[g] != q) continue;
      const auto overlap = overlap_of(at_box(box, q), at_box(wanted, g));
      there = 1;
      quality = overlap.iou;
      giou += 1 - overlap.giou;
      for (int i = 0; i < 4; ++i) distance += std::abs(at_box(box, q)[i] - at_box(wanted, g)[i]);
    }
    const double x = a[q].item<double>(), y = b.defined() ? b[q].item<double>() : 0;
    if (!b.defined()) {
      classes += plain_focal(x, there);
    } else if (heads == ScoreHeads::kQuality) {
      const double off = quality - sigmoid_of(y);
      classes += (plain_focal(x, there) + off * off * entropy(y, quality)) / 2;
    } else {
      classes += segments ? plain_focal(y, there) : plain_focal(x, there);
    }
  }
  return (2 * classes + 5 * distance + 2 * giou) / count;
}

TEST(DetectionLoss, AgreesWithPlainLoopsAndExhaustiveMatching) {
  Proposer proposer(tiny());
  auto random = at::make_generator<at::CPUGeneratorImpl>(5);
  for (auto& item : proposer->named_parameters()) {
    item.value().set_data(at::empty(item.value().sizes()).normal_(0, 0.3, random));
  }
  const at::NoGradGuard no_gradients;
  const auto out = proposer->forward({at::empty({2, 16, 5, 5}).normal_(0, 1, random)});
  const std::vector<BoxTruth> truth{
      {at::tensor({0.3f, 0.3f, 0.2f, 0.2f, 0.7f, 0.6f, 0.3f, 0.4f}).view({2, 4}), true},
      {at::tensor({0.5f, 0.2f, 0.4f, 0.1f, 0.2f, 0.7f, 0.3f, 0.2f}).view({2, 4}), false}};
  constexpr double kBoxes = 4;
  for (const auto heads : {ScoreHeads::kQuality, ScoreHeads::kAnnotation}) {
    double expected = 0;
    for (int64_t b = 0; b < 2; ++b) {
      const auto& wanted = truth[b];
      expected +=
          plain_layer_loss(out.encoder_scores[b].select(1, 0), {}, out.encoder_boxes[b].sigmoid(),
                           wanted.boxes_cxcywh, heads, wanted.segments, kBoxes);
      for (size_t l = 0; l < out.decoder.size(); ++l) {
        const auto& x = out.decoder[l];
        expected += plain_layer_loss(
            proposer->class_embed_coco[l]->as<nn::Linear>()->forward(x)[b].select(1, 0),
            proposer->class_embed_sa1b[l]->as<nn::Linear>()->forward(x)[b].select(1, 0),
            proposer->refined_boxes(out, static_cast<int64_t>(l))[b].sigmoid(), wanted.boxes_cxcywh,
            heads, wanted.segments, kBoxes);
      }
    }
    const double found = detection_loss(*proposer, out, truth, {}, heads).total.item<double>();
    EXPECT_NEAR(found, expected, 1e-4 * expected);
  }
}

}  // namespace
}  // namespace groma::train
