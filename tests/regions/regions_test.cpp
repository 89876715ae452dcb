#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "init.h"
#include "io/message.h"
#include "model.h"
#include "regions/boxes.h"
#include "regions/select.h"
#include "support.h"
#include "tiles.h"

namespace groma {
namespace {

using testing::largest_difference;

at::Tensor box_table(std::vector<float> values) { return at::tensor(values).view({-1, 4}); }

TEST(Boxes, CentresBecomeCorners) {
  const auto cxcywh = box_table({0.5f, 0.4f, 0.2f, 0.6f, 0.1f, 0.1f, 0.f, 0.f});
  const auto expected = box_table({0.4f, 0.1f, 0.6f, 0.7f, 0.1f, 0.1f, 0.1f, 0.1f});
  EXPECT_LE(largest_difference(cxcywh_to_xyxy(cxcywh), expected), 1e-7);
}

TEST(Boxes, OverlapOfKnownPairs) {
  const auto a = box_table({0, 0, 2, 2, 1, 1, 1, 1});
  const auto b = box_table({1, 0, 3, 2, 5, 5, 6, 6, 0, 0, 2, 2});
  const auto expected = at::tensor({1.f / 3, 0.f, 1.f, 0.f, 0.f, 0.f}).view({2, 3});
  EXPECT_LE(largest_difference(pairwise_iou(a, b), expected), 1e-7);
}

TEST(Boxes, PixelsToNetworkAndBack) {
  const std::vector<Box> boxes = {{10, 20, 110, 220}, {0, 0, 640, 480}};
  const auto back = to_pixel_boxes(to_network_boxes(boxes, 640, 480), 640, 480);
  for (size_t i = 0; i < boxes.size(); ++i) {
    EXPECT_NEAR(back[i].x1, boxes[i].x1, 1e-3);
    EXPECT_NEAR(back[i].y2, boxes[i].y2, 1e-3);
  }
}

TEST(Select, UserBoxesComeFirstAndSuppress) {
  const auto boxes = box_table({0.5f, 0.5f, 0.4f, 0.4f, 0.2f, 0.2f, 0.1f, 0.1f});
  const auto scores = at::tensor({0.9f, 0.8f});
  const auto user = box_table({0.5f, 0.5f, 0.4f, 0.39f});
  const auto chosen = select_regions(boxes, scores, user, SelectConfig{});
  EXPECT_EQ(largest_difference(chosen.kept, at::tensor({2, 1}, at::kLong)), 0);
  EXPECT_EQ(chosen.scores[0].item<float>(), 1.f);
}

TEST(Select, RefusesWhatIsNotFinite) {
  const auto refusal = [](float side, float score) {
    return testing::message_of([&] {
      select_regions(box_table({0.5f, 0.5f, side, 0.4f}), at::tensor({score}), at::empty({0, 4}),
                     SelectConfig{});
    });
  };
  EXPECT_TRUE(testing::holds(refusal(NAN, 0.9f), "boxes or scores hold NaN or infinity"));
  EXPECT_TRUE(testing::holds(refusal(0.4f, NAN), "boxes or scores hold NaN or infinity"));
}

TEST(Select, TakesTheBestWhenNonePasses) {
  const auto boxes = box_table({0.5f, 0.5f, 0.4f, 0.4f, 0.2f, 0.2f, 0.1f, 0.1f});
  const auto chosen =
      select_regions(boxes, at::tensor({0.05f, 0.1f}), at::empty({0, 4}), SelectConfig{});
  EXPECT_EQ(largest_difference(chosen.kept, at::tensor({1}, at::kLong)), 0);
}

TEST(Select, KeepsRoomForSmallOnes) {
  // Four large boxes apart from each other, then three small ones of lower scores.
  const auto boxes =
      box_table({0.2f,  0.2f,  0.2f,  0.2f,  0.2f,  0.7f,  0.2f,  0.2f,  0.7f,  0.2f,
                 0.2f,  0.2f,  0.7f,  0.7f,  0.2f,  0.2f,  0.45f, 0.45f, 0.05f, 0.05f,
                 0.45f, 0.55f, 0.05f, 0.05f, 0.55f, 0.45f, 0.05f, 0.05f});
  const auto scores = at::tensor({0.9f, 0.8f, 0.7f, 0.6f, 0.3f, 0.5f, 0.4f});
  SelectConfig config;
  config.max_regions = 4;
  const auto kept = [&] {
    const auto chosen = select_regions(boxes, scores, at::empty({0, 4}), config).kept;
    return std::vector<int64_t>(chosen.data_ptr<int64_t>(), chosen.data_ptr<int64_t>() + 4);
  };
  EXPECT_EQ(kept(), (std::vector<int64_t>{0, 1, 2, 3}));
  config.small_share = 0.5;
  EXPECT_EQ(kept(), (std::vector<int64_t>{0, 1, 5, 6}));
  config.small_share = 1;
  EXPECT_EQ(kept(), (std::vector<int64_t>{0, 5, 6, 4}));
  config.max_regions = 7;
  EXPECT_EQ(select_regions(boxes, scores, at::empty({0, 4}), config).kept.size(0), 7);
}

TEST(Select, ScoreWeighsBothHeads) {
  const auto logit = [](double p) { return std::log(p / (1 - p)); };
  const auto score = fuse_scores(at::full({1, 1}, logit(0.3)), at::full({1, 1}, logit(0.8)));
  EXPECT_NEAR(score.item<double>(), std::pow(0.3, 0.4) * std::pow(0.8, 0.6), 1e-6);
}

ModelConfig small(int64_t levels, RoiGeometry geometry) {
  ModelConfig config;
  config.vision.image_size = 112;
  config.vision.table_size = 8;
  config.vision.hidden = 32;
  config.vision.intermediate = 64;
  config.vision.layers = 4;
  config.vision.heads = 2;
  config.proposer.d_model = 32;
  config.proposer.encoder_layers = 1;
  config.proposer.decoder_layers = 2;
  config.proposer.encoder_heads = config.proposer.decoder_heads = 4;
  config.proposer.encoder_ffn = config.proposer.decoder_ffn = 48;
  config.proposer.levels = levels;
  config.proposer.queries = 20;
  config.proposer.box_hidden = 16;
  config.region.channels = 16;
  config.region.rounds = 1;
  config.region.groups = 4;
  config.region.roi_size = 4;
  config.region.geometry = geometry;
  config.region.position_hidden = 8;
  config.region.region_hidden = 12;
  config.language.vocabulary = 30;
  config.language.new_tokens = 20;
  config.language.hidden = 16;
  config.language.intermediate = 24;
  config.language.layers = 1;
  config.language.heads = config.language.kv_heads = 2;
  return config;
}

GromaModel random_model(const ModelConfig& config) {
  GromaModel model(config);
  initialise(*model, 1);
  return model;
}

TEST(Proposer, SeveralLevelsAreFinestFirst) {
  const c10::InferenceMode no_gradients;
  auto model = random_model(small(4, RoiGeometry::kReleased));
  const auto proposals = model->propose(model->see(at::zeros({2, 3, 112, 112})));
  const LevelShapes expected = {{32, 32}, {16, 16}, {8, 8}, {4, 4}};  // the patch grid is 8
  EXPECT_EQ(proposals.shapes, expected);
  EXPECT_EQ(proposals.boxes_cxcywh.sizes(), (std::vector<int64_t>{2, 20, 4}));
  EXPECT_EQ(proposals.encoder_boxes.size(1), 32 * 32 + 16 * 16 + 8 * 8 + 4 * 4);
  EXPECT_TRUE(proposals.boxes_cxcywh.isfinite().all().item<bool>());
}

TEST(Proposer, BatchGivesWhatSingleImagesGive) {
  const c10::InferenceMode no_gradients;
  auto model = random_model(small(2, RoiGeometry::kReleased));
  const auto pixels =
      at::randn({2, 3, 112, 112}, at::make_generator<at::CPUGeneratorImpl>(/*seed=*/4));
  const auto both = model->propose(model->see(pixels));
  const auto second = model->propose(model->see(pixels.narrow(0, 1, 1)));
  EXPECT_LE(largest_difference(both.boxes_cxcywh.narrow(0, 1, 1), second.boxes_cxcywh), 1e-5);
}

TEST(Model, RegistersTheNamesOfFourLevels) {
  const GromaModel model(small(4, RoiGeometry::kReleased));
  std::set<std::string> names;
  const std::string prefix = "perceiver.input_proj.";
  for (const auto& item : model->named_parameters()) {
    if (item.key().starts_with(prefix) && item.key().ends_with(".weight")) {
      names.insert(item.key().substr(prefix.size()));
    }
  }
  // Places in the reference's nn.Sequential of each level, finest first.
  const std::set<std::string> expected = {"0.0.weight", "0.1.weight", "0.3.weight", "0.4.weight",
                                          "0.5.weight", "0.6.weight", "1.0.weight", "1.1.weight",
                                          "1.2.weight", "1.3.weight", "2.0.weight", "2.1.weight",
                                          "3.0.weight", "3.1.weight"};
  EXPECT_EQ(names, expected);
}

/// A map that holds its own x coordinate, in cells.
at::Tensor ramp(int64_t side) {
  return at::arange(side, at::kFloat).expand({1, 16, side, side}).contiguous();
}

TEST(RegionPool, ExactGeometryReadsTheBox) {
  const c10::InferenceMode no_gradients;
  auto model = random_model(small(1, RoiGeometry::kExact));
  auto& pool = *model->region_encoder->roi_align;
  const auto box = box_table({0.5f, 0.5f, 0.5f, 0.25f});
  const auto rois = pool.rois(box, at::zeros({1}));
  EXPECT_LE(largest_difference(rois, at::tensor({0.f, 28.f, 42.f, 84.f, 70.f}).view({1, 5})), 1e-4);
  // Cells of the finest map are 14 / 4 pixels; the box spans cells 8 to 24, a quarter a column.
  const auto pooled = pool.pool(ramp(32), rois, 0)[0][0][0];
  EXPECT_LE(largest_difference(pooled, at::tensor({9.5f, 13.5f, 17.5f, 21.5f})), 1e-4);
}

TEST(RegionPool, ReleasedGeometryReadsCentreAndSizeAsCorners) {
  const c10::InferenceMode no_gradients;
  auto model = random_model(small(1, RoiGeometry::kReleased));
  auto& pool = *model->region_encoder->roi_align;
  const auto box = box_table({0.25f, 0.25f, 0.125f, 0.125f});
  const auto rois = pool.rois(box, at::zeros({1}));
  EXPECT_LE(largest_difference(rois, at::tensor({0.f, 28.f, 28.f, 14.f, 14.f}).view({1, 5})), 1e-4);
  // From pixel 28 back to 14 at 8 / 14 cells a pixel: cells 16 to 8, half a cell to the left.
  const auto pooled = pool.pool(ramp(32), rois, 0)[0][0][0];
  EXPECT_LE(largest_difference(pooled, at::tensor({14.5f, 12.5f, 10.5f, 8.5f})), 1e-4);
}

TEST(RegionPool, NoBoxesGiveNoTokens) {
  const c10::InferenceMode no_gradients;
  auto model = random_model(small(1, RoiGeometry::kExact));
  const auto maps = model->fuse_maps(model->see(at::zeros({1, 3, 112, 112})));
  const auto tokens = model->region_tokens(maps, at::empty({0, 4}));
  EXPECT_EQ(tokens.sizes(), (std::vector<int64_t>{0, 16}));
}

TEST(RegionPool, ConvolvesTheSameWhetherOrNotCellsAreLeftOut) {
  const c10::InferenceMode no_gradients;
  auto model = random_model(small(1, RoiGeometry::kReleased));
  auto& pool = *model->region_encoder->roi_align;
  std::vector<at::Tensor> pooled;
  const auto& released = pool.config;
  for (int l = 0; l < 3; ++l) {
    auto x = at::randn({3, released.channels, released.roi_size, released.roi_size});
    x[0].narrow(1, 1, released.roi_size - 1).zero_();  // a region with one row, one with a column,
    x[1].narrow(2, 0, released.roi_size - 1).zero_();  // one with nothing at all
    x[2].zero_();
    pooled.push_back(x.contiguous(at::MemoryFormat::ChannelsLast));
  }
  const auto without = pool.convolve(pooled);
  pool.config.geometry = RoiGeometry::kExact;
  const auto whole = pool.convolve(pooled);
  EXPECT_EQ(without.sizes(), whole.sizes());
  EXPECT_LE(largest_difference(without, whole), 1e-5);
  EXPECT_GT(whole.abs().max().item<float>(), 0.01);
}

/// Enough channels and regions for Winograd's convolution where the machine takes it. Three results
/// rounded to bfloat16, then their sums: some thousandths of the size.
TEST(RegionPool, ConvolvesManyRegionsInBfloat16) {
  const c10::InferenceMode no_gradients;
  auto config = small(1, RoiGeometry::kReleased);
  config.region.channels = 512;
  config.region.roi_size = 14;
  auto model = random_model(config);
  auto& pool = *model->region_encoder->roi_align;
  at::manual_seed(1);
  for (const auto& conv : *pool.pconvs) conv->as<nn::Conv2d>()->bias.normal_(0, 0.5);
  pool.pconvs->to(at::kBFloat16);
  std::vector<at::Tensor> narrow, wide;
  for (int l = 0; l < 3; ++l) {
    auto x = at::relu(at::randn({21, 512, 14, 14}));
    x.narrow(0, 0, 8).narrow(2, 5, 9).zero_();
    x.narrow(0, 8, 4).zero_();
    narrow.push_back(x.to(at::kBFloat16).contiguous(at::MemoryFormat::ChannelsLast));
    wide.push_back(narrow.back().to(at::kFloat));
  }
  const auto actual = pool.convolve(narrow);
  pool.pconvs->to(at::kFloat);  // the same numbers, rounded above
  const auto expected = pool.convolve(wide);
  EXPECT_EQ(actual.scalar_type(), at::kBFloat16);
  EXPECT_EQ(actual.sizes(), expected.sizes());
  EXPECT_LE(((actual.to(at::kFloat) - expected).norm() / expected.norm()).item<double>(), 0.008);
}

TEST(TileFeatures, ComeFromTheTileThatShowsTheBoxWhole) {
  const c10::InferenceMode no_gradients;
  auto model = random_model(small(1, RoiGeometry::kExact));
  const auto pixels = [] { return at::randn({1, 3, 112, 112}); };
  const auto maps = model->fuse_maps(model->see(pixels()));
  const std::vector<SeenTile> tiles = {{{0, 0, 0.5f, 0.5f}, model->see(pixels())},
                                       {{0.25f, 0, 0.75f, 0.5f}, model->see(pixels())}};
  const auto boxes = at::tensor({0.25f, 0.25f, 0.1f, 0.1f,    // in the middle of the first
                                 0.4f, 0.2f, 0.1f, 0.2f,      // in both, nearer to the second's
                                 0.4f, 0.3f, 0.4f, 0.1f,      // across the edges of both
                                 0.05f, 0.05f, 0.14f, 0.1f})  // beyond the picture's own edge
                         .view({4, 4});
  const auto tokens = region_tokens(*model, maps, tiles, boxes);
  const auto expect = [&](int64_t row, const std::vector<at::Tensor>& source,
                          const at::Tensor& at) {
    const auto one =
        model->region_tokens(source, at.view({1, 4}), boxes.narrow(0, row, 1).contiguous());
    EXPECT_LE(largest_difference(tokens[row], one[0]), 1e-5) << "box " << row;
  };
  expect(0, model->fuse_maps(tiles[0].hidden), at::tensor({0.5f, 0.5f, 0.2f, 0.2f}));
  expect(1, model->fuse_maps(tiles[1].hidden), at::tensor({0.3f, 0.4f, 0.2f, 0.4f}));
  expect(2, maps, boxes[2]);
  expect(3, model->fuse_maps(tiles[0].hidden), at::tensor({0.1f, 0.1f, 0.28f, 0.2f}));
  EXPECT_LE(
      largest_difference(region_tokens(*model, maps, {}, boxes), model->region_tokens(maps, boxes)),
      0);
}

TEST(Projector, MergesColumnsOutsideRows) {
  const auto map = at::arange(16, at::kFloat).view({1, 1, 4, 4});
  const auto merged = merge_patches(map, 2);
  // Of cell (0, 0): (0, 0), (1, 0), (0, 1), (1, 1).
  EXPECT_EQ(largest_difference(merged[0][0], at::tensor({0.f, 4.f, 1.f, 5.f})), 0);
  EXPECT_EQ(largest_difference(merged[0][3], at::tensor({10.f, 14.f, 11.f, 15.f})), 0);
  EXPECT_EQ(merge_patches(map, 1).sizes(), (std::vector<int64_t>{1, 16, 1}));
}

}  // namespace
}  // namespace groma
