#include <ATen/CPUGeneratorImpl.h>

#include <functional>

#include "language/llama.h"
#include "regions/proposer.h"
#include "regions/region_encoder.h"
#include "support.h"
#include "vision/dinov2.h"
#include "vision/projector.h"

// Gradients of whole modules against finite differences, in double and at tiny sizes.

namespace groma {
namespace {

at::Tensor normal(at::IntArrayRef shape, double deviation, at::Generator& random) {
  return at::empty(shape, at::kDouble).normal_(0, deviation, random);
}

/// Compares the gradient of a weighted sum of the module's output with central differences at a few
/// elements of every parameter.
void check_gradients(torch::nn::Module& module, const std::function<at::Tensor()>& run,
                     double step = 1e-5, double tolerance = 1e-6) {
  auto random = at::make_generator<at::CPUGeneratorImpl>(7);
  for (auto& item : module.named_parameters()) {
    const bool scale = item.key().ends_with("norm.weight") || item.key().ends_with("gn.weight");
    auto value = normal(item.value().sizes(), 0.3, random);
    item.value().set_data(scale ? value + 1 : value);
    item.value().requires_grad_(true);
  }
  at::Tensor weights;
  const auto loss = [&] {
    const auto out = run();
    if (!weights.defined()) {
      auto other = at::make_generator<at::CPUGeneratorImpl>(9);
      weights = normal(out.sizes(), 1, other);
    }
    return (out.to(at::kDouble) * weights).sum();
  };
  loss().backward();
  const at::NoGradGuard no_gradients;
  for (auto& item : module.named_parameters()) {
    const auto& gradient = item.value().grad();
    if (!gradient.defined()) continue;
    const auto flat = item.value().view({-1});
    const auto scale = std::max(1.0, gradient.abs().max().item<double>());
    for (int64_t i = 0; i < flat.size(0); i += std::max<int64_t>(1, flat.size(0) / 3)) {
      const double kept = flat[i].item<double>();
      flat[i] = kept + step;
      const double above = loss().item<double>();
      flat[i] = kept - step;
      const double below = loss().item<double>();
      flat[i] = kept;
      EXPECT_NEAR(gradient.view({-1})[i].item<double>(), (above - below) / (2 * step),
                  tolerance * scale)
          << item.key() << '[' << i << ']';
    }
  }
}

TEST(Gradients, VisionEncoder) {
  VisionConfig config;
  config.image_size = 12;
  config.patch = 4;
  config.table_size = 3;
  config.hidden = 8;
  config.intermediate = 12;
  config.layers = 4;
  config.heads = 2;
  Dinov2 module(config);
  auto random = at::make_generator<at::CPUGeneratorImpl>(1);
  const auto pixels = normal({1, 3, 12, 12}, 1, random);
  check_gradients(*module, [&] { return at::cat(module->forward(pixels), 1); });
}

TEST(Gradients, Projector) {
  Projector module(8, 6);
  auto random = at::make_generator<at::CPUGeneratorImpl>(2);
  const auto merged = normal({1, 3, 8}, 1, random);
  check_gradients(*module, [&] { return module->forward(merged); });
}

TEST(Gradients, DeformableLayers) {
  ProposerConfig config;
  config.d_model = 8;
  config.encoder_heads = config.decoder_heads = 2;
  config.encoder_ffn = config.decoder_ffn = 12;
  config.encoder_points = config.decoder_points = 2;
  config.levels = 1;
  auto random = at::make_generator<at::CPUGeneratorImpl>(3);
  const LevelShapes shapes{{4, 4}};
  const auto x = normal({1, 16, 8}, 1, random), position = normal({1, 16, 8}, 1, random);
  const auto centers = cell_centers(shapes).to(at::kDouble);
  DeformableEncoderLayer encoder(config);
  check_gradients(*encoder, [&] { return encoder->forward(x, position, centers, shapes); });

  const auto queries = normal({1, 5, 8}, 1, random), places = normal({1, 5, 8}, 1, random);
  const auto boxes = normal({1, 5, 1, 4}, 1, random).sigmoid() * 0.5 + 0.2;
  DeformableDecoderLayer decoder(config);
  check_gradients(*decoder, [&] { return decoder->forward(queries, places, x, boxes, shapes); });
}

TEST(Gradients, RegionEncoder) {
  VisionConfig vision;
  vision.image_size = 16;
  vision.patch = 4;
  vision.hidden = 6;
  RegionConfig config;
  config.channels = 8;
  config.rounds = 1;
  config.groups = 2;
  config.roi_size = 2;
  config.scales = {2, 1, 0.5};
  config.geometry = RoiGeometry::kExact;
  config.position_hidden = 5;
  config.region_hidden = 7;
  RegionEncoder module(config, vision, 9);
  auto random = at::make_generator<at::CPUGeneratorImpl>(4);
  std::vector<at::Tensor> maps;
  for (int i = 0; i < 3; ++i) maps.push_back(normal({1, 6, 4, 4}, 1, random));
  const auto boxes = at::tensor({0.4, 0.5, 0.3, 0.4, 0.6, 0.4, 0.5, 0.5}, at::kDouble).view({2, 4});
  check_gradients(*module, [&] {
    return module->roi_align(module->mlvl_fuse(maps), boxes, at::zeros({2}, at::kDouble));
  });
}

TEST(Gradients, LanguageModel) {
  LanguageConfig config;
  config.vocabulary = 11;
  config.hidden = 8;
  config.intermediate = 12;
  config.layers = 2;
  config.heads = 2;
  config.kv_heads = 1;
  Llama module(config);
  auto random = at::make_generator<at::CPUGeneratorImpl>(5);
  const auto embeds = normal({6, 8}, 1, random);
  const auto positions = at::arange(6, at::kLong);
  const auto mask = at::ones({6, 6}, at::kBool).tril();
  check_gradients(*module, [&] {
    return module->forward(embeds, positions, {{6, nullptr, mask}});
  });
}

}  // namespace
}  // namespace groma
