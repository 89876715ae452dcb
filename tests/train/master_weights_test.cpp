#include "train/master_weights.h"

#include <ATen/CPUGeneratorImpl.h>

#include "groma/error.h"
#include "init.h"
#include "support.h"
#include "train/run_state.h"
#include "train/starting_model.h"
#include "train/tiny_run.h"

namespace groma::train {
namespace {

constexpr int64_t kVocabulary = 300;
constexpr const char* kQuery = "llm.model.layers.0.self_attn.q_proj.weight";

GromaModel model_of(const ModelConfig& config) {
  GromaModel model(config);
  initialise(*model, 5);
  return model;
}

Recipe recipe_with_lora() {
  Recipe recipe;
  recipe.lora.rank = 2;
  recipe.lora.alpha = 6;
  return recipe;
}

size_t place_of(const MasterWeights& weights, const std::string& name) {
  for (size_t i = 0; i < weights.entries.size(); ++i) {
    if (weights.entries[i].name == name) return i;
  }
  ADD_FAILURE() << "no entry " << name;
  return 0;
}

/// Fills adapters with numbers, as training would.
void fill_adapters(MasterWeights& weights) {
  auto random = at::make_generator<at::CPUGeneratorImpl>(11);
  for (const auto& adapter : weights.adapters) {
    weights.entries[adapter.up].value.normal_(0, 0.3, random);
    weights.entries[adapter.down].value.normal_(0, 0.3, random);
  }
}

TEST(MasterWeights, WhatIsZeroedStaysZeroAndWhatIsFrozenStays) {
  const auto config = testing::tiny_config(kVocabulary);
  Recipe recipe;
  recipe.trainable = {"region_encoder."};
  recipe.zeroed = {"region_encoder.roi_align.flatten_linear."};
  recipe.frozen = {"region_encoder.roi_align.updims."};
  const auto model = model_of(config);
  const MasterWeights weights(*model, recipe, 1, at::kCPU);
  const auto entry = [&](const std::string& name) -> const auto& {
    return weights.entries[place_of(weights, "region_encoder.roi_align." + name)];
  };
  EXPECT_EQ(entry("flatten_linear.weight").value.abs().max().item<float>(), 0);
  EXPECT_FALSE(entry("flatten_linear.weight").moves);
  EXPECT_GT(entry("updims.weight").value.abs().max().item<float>(), 0);
  EXPECT_FALSE(entry("updims.weight").moves);
  EXPECT_TRUE(entry("pos_embedd.0.weight").moves);
  EXPECT_GT(model->region_encoder->roi_align->flatten_linear->weight.abs().max().item<float>(), 0)
      << "the model that was given is another one";
}

TEST(MasterWeights, AdaptersAddTheirProductAndGetGradients) {
  const auto config = testing::tiny_config(kVocabulary);
  const auto recipe = recipe_with_lora();
  MasterWeights weights(*model_of(config), recipe, 1, at::kCPU);
  EXPECT_EQ(weights.adapters.size(), 2 * static_cast<size_t>(config.language.layers));
  Replica replica(config, weights, recipe);
  auto random = at::make_generator<at::CPUGeneratorImpl>(3);
  const auto x = at::empty({5, config.language.hidden}).normal_(0, 1, random);
  auto& layer = *replica.model->llm->layers[0]->as<LlamaLayer>();
  auto& query = layer.self_attn->q_proj;
  const auto base = weights.entries[place_of(weights, kQuery)].value;
  replica.merge_adapters();
  EXPECT_TRUE(at::equal(query->forward(x), at::linear(x, base))) << "a fresh adapter changes it";

  fill_adapters(weights);
  replica.merge_adapters();
  const auto& down = weights.entries[place_of(weights, adapter_name(kQuery, 'A'))];
  const auto& up = weights.entries[place_of(weights, adapter_name(kQuery, 'B'))];
  // The adapters' own forward, in double: x W' + alpha / rank (x A') B'.
  const auto wide = x.to(at::kDouble);
  const auto narrow = at::linear(wide, down.value.to(at::kDouble));
  const auto expected =
      at::linear(wide, base.to(at::kDouble)) + at::linear(narrow, up.value.to(at::kDouble)) * 3.0;
  const auto y = query->forward(x);
  EXPECT_LT((y - expected).abs().max().item<double>(), 2e-5);

  y.sum().backward();
  for (size_t i = 0; i < weights.entries.size(); ++i) replica.hand_over(i, 1);
  const auto ones = at::ones({5, config.language.hidden}, at::kDouble);
  const auto gradient_up = ones.t().matmul(narrow) * 3.0;
  const auto gradient_down = up.value.to(at::kDouble).t().matmul(ones.t().matmul(wide)) * 3.0;
  EXPECT_LT((up.gradient - gradient_up).abs().max().item<double>(), 1e-4);
  EXPECT_LT((down.gradient - gradient_down).abs().max().item<double>(), 1e-4);
}

TEST(MasterWeights, ExportedAndContinuedModelsHoldTheAdaptersMerged) {
  testing::RunFolder folder("lora-merge");
  const auto config = testing::tiny_config(kVocabulary);
  MasterWeights weights(*model_of(config), recipe_with_lora(), 1, at::kCPU);
  fill_adapters(weights);
  const auto i = place_of(weights, kQuery);
  const auto down = weights.entries[place_of(weights, adapter_name(kQuery, 'A'))].value;
  const auto up = weights.entries[place_of(weights, adapter_name(kQuery, 'B'))].value;
  const auto merged = weights.entries[i].value + 3 * up.matmul(down);
  EXPECT_LT((weights.result(i) - merged).abs().max().item<double>(), 1e-6);
  save_state(folder / "state.safetensors", weights, {});
  auto next = model_of(config);
  load_moved_values(folder / "state.safetensors", *next);
  auto& layer = *next->llm->layers[0]->as<LlamaLayer>();
  EXPECT_LT((layer.self_attn->q_proj->weight - merged).abs().max().item<double>(), 1e-6);
}

TEST(MasterWeights, TheRunningMeanIsWhatResults) {
  const auto config = testing::tiny_config(kVocabulary);
  Recipe recipe;
  recipe.trainable = {"img_txt_bridge."};
  recipe.ema = 0.5;
  MasterWeights weights(*model_of(config), recipe, 1, at::kCPU);
  const auto i = place_of(weights, "img_txt_bridge.0.weight");
  auto mean = weights.entries[i].value.to(at::kDouble);
  auto random = at::make_generator<at::CPUGeneratorImpl>(3);
  for (int step = 1; step <= 12; ++step) {
    weights.gradients.normal_(0, 1, random);
    weights.update(recipe.optimizer, 1e-2);
    const double keep = std::min(0.5, (1.0 + step) / (10.0 + step));
    mean = keep * mean + (1 - keep) * weights.entries[i].value;
  }
  EXPECT_LT((weights.result(i) - mean).abs().max().item<double>(), 1e-6);
  EXPECT_GT((weights.result(i) - weights.entries[i].value).abs().max().item<double>(), 1e-3);
  const auto value = weights.entries[i].value.clone();
  weights.swap_averages();
  EXPECT_LT((weights.entries[i].value - mean).abs().max().item<double>(), 1e-6);
  weights.swap_averages();
  EXPECT_TRUE(at::equal(weights.entries[i].value, value));
}

TEST(MasterWeights, FrozenParametersDoNotMove) {
  const auto config = testing::tiny_config(kVocabulary);
  Recipe recipe;
  recipe.trainable = {"llm.", "img_txt_bridge."};
  recipe.frozen = {"llm."};
  MasterWeights weights(*model_of(config), recipe, 1, at::kCPU);
  for (const auto& entry : weights.entries) {
    EXPECT_EQ(entry.moves, entry.name.starts_with("img_txt_bridge.")) << entry.name;
  }
}

TEST(MasterWeights, NamesThatFitNothingAreRefused) {
  const auto model = model_of(testing::tiny_config(kVocabulary));
  const auto message = [&](const auto& change) -> std::string {
    Recipe recipe;
    recipe.trainable = {"llm."};
    change(recipe);
    try {
      const MasterWeights weights(*model, recipe, 1, at::kCPU);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  const auto expect = [&](const char* part, const auto& change) {
    EXPECT_NE(message(change).find(part), std::string::npos) << message(change);
  };
  EXPECT_EQ(message([](Recipe&) {}), "");
  expect(
      "'lmm.' of \"trainable\" fits no parameter of the model; names begin with extra_lm_head., ",
      [](Recipe& recipe) { recipe.trainable.push_back("lmm."); });
  expect("'lmm.' of \"frozen\" or --freeze", [](Recipe& recipe) { recipe.frozen = {"lmm."}; });
  expect("'lmm.' of \"zeroed\"", [](Recipe& recipe) { recipe.zeroed = {"lmm."}; });
  expect("'lmm.' of \"bfloat16\"", [](Recipe& recipe) { recipe.bfloat16 = {"lmm."}; });
  expect("'lmm.' of \"rates\"", [](Recipe& recipe) { recipe.optimizer.rates = {{"lmm.", 2}}; });
  expect("no parameter moves", [](Recipe& recipe) { recipe.frozen = {"llm."}; });
  expect("'q_porj' of lora.targets fits no matrix", [](Recipe& recipe) {
    recipe.lora.rank = 2;
    recipe.lora.targets = {"v_proj", "q_porj"};
  });
}

TEST(MasterWeights, ShippedRecipesFitTheShippedModel) {
  const std::string models = std::string(GROMA_SOURCE_DIR) + "/models/";
  const auto start = starting_model(models + "groma-tiny-start", {}, 1);
  for (const auto& file : std::filesystem::directory_iterator(models + "stages")) {
    EXPECT_NO_THROW(MasterWeights(*start.model, read_recipe(file.path()), 1, at::kCPU))
        << file.path();
  }
}

}  // namespace
}  // namespace groma::train
