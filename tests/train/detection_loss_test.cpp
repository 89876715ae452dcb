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

}  // namespace
}  // namespace groma::train
