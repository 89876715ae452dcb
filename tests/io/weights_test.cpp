#include "io/weights.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "folders.h"
#include "io/archives.h"
#include "io/message.h"
#include "nn/layers.h"

namespace groma::io {
namespace {

namespace fs = std::filesystem;
using ::groma::testing::holds;
using ::groma::testing::message_of;
using ::groma::testing::Pickle;
using ::groma::testing::TemporaryFolder;
using ::groma::testing::torch_archive;
using ::groma::testing::write_bytes;

const std::string kDetector = "perceiver.ddetr_transformer.";

/// A module with the names of a detector's heads.
struct Tiny : torch::nn::Module {
  Tiny() {
    first = register_module("first", nn::Linear(3, 4));
    auto perceiver = register_module("perceiver", std::make_shared<Group>());
    auto detector = perceiver->register_module("ddetr_transformer", std::make_shared<Group>());
    head = detector->register_module("class_embed_enc", nn::Linear(4, 1));
  }
  struct Group : torch::nn::Module {};
  nn::Linear first{nullptr}, head{nullptr};
};

TensorMap tiny_weights(at::ScalarType type = at::kFloat) {
  at::manual_seed(1);
  return {{"first.weight", at::rand({4, 3}).to(type)},
          {"first.bias", at::rand({4}).to(type)},
          {kDetector + "class_embed_enc.weight", at::rand({1, 4}).to(type)},
          {kDetector + "class_embed_enc.bias", at::rand({1}).to(type)}};
}

DTypeOf always(at::ScalarType type) {
  return [type](const std::string&) { return type; };
}

class WeightsTest : public ::testing::Test {
 protected:
  void put(const std::string& name, const TensorMap& tensors) {
    write_safetensors((folder_.path() / name).string(), tensors);
  }
  void put(const std::string& name, const std::string& text) {
    write_bytes(folder_.path() / name, text);
  }
  TensorMap open() { return open_weights(folder_.path().string()); }
  std::string refusal() {
    return message_of([&] { open(); });
  }
  std::set<std::string> files() {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_.path())) {
      names.insert(entry.path().filename().string());
    }
    return names;
  }
  TemporaryFolder folder_;
};

TEST_F(WeightsTest, OpensOneSafetensorsFile) {
  put("model.safetensors", tiny_weights());
  EXPECT_EQ(open().size(), 4u);
  EXPECT_EQ(shapes_of(open()).at("first.weight"), (std::vector<int64_t>{4, 3}));
}

TEST_F(WeightsTest, HeadsOfTheDecoderAreRenamed) {
  put("model.safetensors", {{kDetector + "decoder.bbox_embed.0.layers.1.bias", at::zeros({3})},
                            {kDetector + "decoder.class_embed_coco.2.bias", at::zeros({1})},
                            {kDetector + "decoder.class_embed_sa1b.2.bias", at::zeros({1})},
                            {kDetector + "decoder.class_embed_enc.bias", at::zeros({1})},
                            {kDetector + "decoder.layers.0.fc1.bias", at::zeros({2})}});
  const auto shapes = shapes_of(open());
  EXPECT_EQ(shapes.count(kDetector + "bbox_embed.0.layers.1.bias"), 1u);
  EXPECT_EQ(shapes.count(kDetector + "class_embed_coco.2.bias"), 1u);
  EXPECT_EQ(shapes.count(kDetector + "class_embed_sa1b.2.bias"), 1u);
  EXPECT_EQ(shapes.count(kDetector + "class_embed_enc.bias"), 1u);
  EXPECT_EQ(shapes.count(kDetector + "decoder.layers.0.fc1.bias"), 1u);
  EXPECT_EQ(shapes.size(), 5u);
}

TEST_F(WeightsTest, EqualAliasesBecomeOneAndUnequalOnesAreRefused) {
  const auto weight = at::rand({1, 4});
  const auto both = [&](const at::Tensor& alias) {
    put("model.safetensors", {{kDetector + "class_embed_enc.weight", weight},
                              {kDetector + "decoder.class_embed_enc.weight", alias}});
  };
  both(weight.clone());
  EXPECT_EQ(open().size(), 1u);
  both(weight + 1);
  EXPECT_TRUE(holds(refusal(), "class_embed_enc.weight' and its alias"));
  both(weight.reshape({4}));
  EXPECT_TRUE(holds(refusal(), "differ"));
  both(weight.to(at::kDouble));
  EXPECT_TRUE(holds(refusal(), "differ"));
}

TEST_F(WeightsTest, RotaryFrequenciesAreLeftOut) {
  put("model.safetensors", {{"llm.model.layers.0.self_attn.rotary_emb.inv_freq", at::zeros({8})},
                            {"llm.model.layers.0.self_attn.q_proj.weight", at::zeros({8, 8})}});
  EXPECT_EQ(open().size(), 1u);
}

TEST_F(WeightsTest, OpensShards) {
  put("a.safetensors", {{"x", at::ones({1})}});
  put("b.safetensors", {{"y", at::ones({2})}, {"z", at::ones({3})}});
  put("model.safetensors.index.json",
      R"({"weight_map": {"x": "a.safetensors", "y": "b.safetensors", "z": "b.safetensors"}})");
  EXPECT_EQ(open().size(), 3u);
}

TEST_F(WeightsTest, OpensTorchArchives) {
  Pickle pickle;
  pickle.raw("}").text("x").tensor("HalfStorage", "0", 2, 0, {2}, {1}).raw("s");
  put("pytorch_model.bin", torch_archive(pickle.stop(), {{"0", "abcd"}}));
  EXPECT_EQ(open().at("x").scalar_type(), at::kHalf);
  fs::rename(folder_.path() / "pytorch_model.bin", folder_.path() / "one.bin");
  put("pytorch_model.bin.index.json", R"({"weight_map": {"x": "one.bin"}})");
  EXPECT_EQ(open().size(), 1u);
}

TEST_F(WeightsTest, SafetensorsComeFirst) {
  put("model.safetensors", {{"x", at::ones({1})}});
  put("pytorch_model.bin", std::string("not looked at"));
  EXPECT_EQ(open().size(), 1u);
}

TEST_F(WeightsTest, SaysWhatIsMissing) {
  EXPECT_TRUE(holds(refusal(), "found none of model.safetensors, model.safetensors.index.json"));
  const auto nowhere = message_of([&] { open_weights((folder_.path() / "none").string()); });
  EXPECT_TRUE(holds(nowhere, "there is no such folder"));
  put("b.safetensors", {{"y", at::ones({2})}});
  put("model.safetensors.index.json",
      R"({"weight_map": {"x": "a.safetensors", "y": "b.safetensors", "z": "c.safetensors"}})");
  const auto message = refusal();
  EXPECT_TRUE(holds(message, "names 3 files, 2 of them are missing"));
  EXPECT_TRUE(holds(message, "'a.safetensors'\n  'c.safetensors'"));
}

TEST_F(WeightsTest, RefusesFilesThatContradictEachOther) {
  put("a.safetensors", {{"x", at::ones({1})}});
  put("b.safetensors", {{"x", at::ones({1})}, {"y", at::ones({1})}});
  const auto index = "model.safetensors.index.json";
  put(index, R"({"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}})");
  EXPECT_TRUE(holds(refusal(), "tensor 'x' comes twice, the second time in 'b.safetensors'"));
  put(index, R"({"weight_map": {"x": "a.safetensors", "z": "a.safetensors"}})");
  EXPECT_TRUE(holds(refusal(), "says that 'z' is in 'a.safetensors', but it is not"));
  put("model.safetensors", {{"x", at::ones({1})}});
  EXPECT_TRUE(holds(refusal(), "found both model.safetensors and model.safetensors.index.json"));
}

TEST_F(WeightsTest, AnIndexCannotLeaveTheFolder) {
  for (const auto* name :
       {"../a.safetensors", "/etc/a.safetensors", "x/a.safetensors", "", "..safetensors", "a.bin",
        "x\\\\a.safetensors", "a\\u0000.safetensors"}) {
    put("model.safetensors.index.json", std::string(R"({"weight_map": {"x": ")") + name + R"("}})");
    EXPECT_TRUE(holds(refusal(), "expected the name of a .safetensors file")) << name;
  }
}

TEST_F(WeightsTest, RefusesABadIndex) {
  for (const auto* text : {"{}", "[]", "3", R"({"weight_map": []})"}) {
    put("model.safetensors.index.json", std::string(text));
    EXPECT_TRUE(holds(refusal(), "no object 'weight_map'")) << text;
  }
  put("model.safetensors.index.json", std::string(R"({"weight_map": {}})"));
  EXPECT_TRUE(holds(refusal(), "'weight_map' is empty"));
  put("model.safetensors.index.json", std::string(R"({"weight_map": {"x": 3}})"));
  EXPECT_TRUE(holds(refusal(), "the file of tensor 'x' is not text"));
}

TEST_F(WeightsTest, AssignsWithoutACopyWhereTheTypeAgrees) {
  put("model.safetensors", tiny_weights(at::kBFloat16));
  auto tensors = open();
  const auto* memory = tensors.at("first.weight").data_ptr();
  Tiny module;
  double last = 0;
  assign_weights(module, std::move(tensors), always(at::kBFloat16), at::kCPU, [&](double done) {
    EXPECT_GT(done, last);
    last = done;
  });
  EXPECT_EQ(last, 1);
  EXPECT_EQ(module.first->weight.data_ptr(), memory);  // the member sees what the map got
  EXPECT_FALSE(module.first->weight.requires_grad());
  EXPECT_TRUE(at::equal(module.head->bias,
                        tiny_weights(at::kBFloat16).at(kDetector + "class_embed_enc.bias")));
}

TEST_F(WeightsTest, ConvertsEachParameterToItsType) {
  put("model.safetensors", tiny_weights(at::kHalf));
  Tiny module;
  const auto dtype_of = [](const std::string& name) {
    return name.starts_with("perceiver.") ? at::kFloat : at::kBFloat16;
  };
  assign_weights(module, open(), dtype_of, at::kCPU);
  EXPECT_EQ(module.first->weight.scalar_type(), at::kBFloat16);
  EXPECT_EQ(module.head->weight.scalar_type(), at::kFloat);
  const auto expected = tiny_weights(at::kHalf);
  EXPECT_TRUE(at::equal(module.first->weight, expected.at("first.weight").to(at::kBFloat16)));
  const auto x = at::rand({2, 3}).to(at::kBFloat16);
  EXPECT_EQ(module.first->forward(x).sizes(), (std::vector<int64_t>{2, 4}));
}

TEST_F(WeightsTest, AssignsWithinInferenceMode) {
  put("model.safetensors", tiny_weights());
  const c10::InferenceMode guard;
  Tiny module;
  auto tensors = open();
  assign_weights(module, std::move(tensors), always(at::kFloat), at::kCPU);
  EXPECT_TRUE(at::equal(module.first->bias, tiny_weights().at("first.bias")));
}

TEST_F(WeightsTest, ViewsWithStridesBecomeContiguous) {
  auto tensors = tiny_weights();
  tensors["first.weight"] = at::arange(12, at::kFloat).reshape({3, 4}).t();
  Tiny module;
  assign_weights(module, tensors, always(at::kFloat), at::kCPU);
  EXPECT_TRUE(module.first->weight.is_contiguous());
  EXPECT_TRUE(at::equal(module.first->weight, tensors["first.weight"]));
}

TEST_F(WeightsTest, ListsAllThatDoesNotMatchAtOnce) {
  auto tensors = tiny_weights();
  tensors.erase("first.bias");
  tensors["first.weight"] = at::zeros({3, 4});
  tensors[kDetector + "class_embed_enc.bias"] = at::zeros({1}, at::kInt);
  for (int i = 0; i < 25; ++i) tensors["extra." + std::to_string(i)] = at::zeros({1});
  Tiny module;
  const auto message =
      message_of([&] { assign_weights(module, tensors, always(at::kFloat), at::kCPU); });
  EXPECT_TRUE(holds(message, "take config.json and weights from one release"));
  EXPECT_TRUE(holds(message, "\n1 missing:\n  first.bias\n"));
  EXPECT_TRUE(holds(message, "\n25 unexpected:\n  'extra.0'\n"));
  EXPECT_TRUE(holds(message, "\n  and 5 more"));
  EXPECT_TRUE(holds(message, "\n2 of another shape or type:\n"));
  EXPECT_TRUE(holds(message, "first.weight is Float [3, 4], config.json asks for [4, 3]"));
  EXPECT_TRUE(holds(message, kDetector + "decoder.class_embed_enc.bias is Int [1]"));
  EXPECT_EQ(module.first->weight.strides(), (std::vector<int64_t>{0, 0}));  // nothing was assigned
}

TEST_F(WeightsTest, WhatIsSavedIsOpenedAgain) {
  Tiny module;
  assign_weights(module, tiny_weights(), always(at::kFloat), at::kCPU);
  const auto folder = (folder_.path() / "new" / "folder").string();
  save_weights(module, folder, at::kFloat);
  const auto file = read_safetensors(folder + "/model.safetensors");
  EXPECT_EQ(file.count(kDetector + "decoder.class_embed_enc.weight"), 1u);  // the published name
  EXPECT_EQ(file.count(kDetector + "class_embed_enc.weight"), 0u);
  EXPECT_EQ(read_safetensors_metadata(folder + "/model.safetensors").at("format"), "pt");
  for (const auto& [name, tensor] : open_weights(folder)) {
    EXPECT_TRUE(at::equal(tensor, tiny_weights().at(name))) << name;
  }
}

TEST_F(WeightsTest, LargeModelsAreSavedInShards) {
  Tiny module;
  assign_weights(module, tiny_weights(), always(at::kFloat), at::kCPU);
  const auto folder = folder_.path().string();
  save_weights(module, folder, at::kBFloat16, /*shard_bytes=*/16);
  EXPECT_EQ(files(), (std::set<std::string>{
                         "model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
                         "model-00003-of-00003.safetensors", "model.safetensors.index.json"}));
  const auto index =
      nlohmann::json::parse(read_text_file(folder + "/model.safetensors.index.json", 10'000));
  EXPECT_EQ(index["metadata"]["total_size"], (12 + 4 + 4 + 1) * 2);
  EXPECT_EQ(index["weight_map"]["first.weight"], "model-00002-of-00003.safetensors");
  const auto again = open();
  ASSERT_EQ(again.size(), 4u);
  for (const auto& [name, tensor] : again) {
    EXPECT_TRUE(at::equal(tensor, tiny_weights().at(name).to(at::kBFloat16))) << name;
  }
}

TEST_F(WeightsTest, AnEarlierSaveLeavesNothingBehind) {
  Tiny module;
  assign_weights(module, tiny_weights(), always(at::kFloat), at::kCPU);
  const auto folder = folder_.path().string();
  put("model-notes-of-mine.safetensors", std::string("kept"));
  for (const int64_t shard : {16, 1'000'000, 40, 16}) {
    save_weights(module, folder, at::kFloat, shard);
    EXPECT_EQ(open().size(), 4u) << shard;
  }
  EXPECT_EQ(files().count("model.safetensors"), 0u);
  save_weights(module, folder, at::kFloat);
  EXPECT_EQ(files(),
            (std::set<std::string>{"model-notes-of-mine.safetensors", "model.safetensors"}));
}

// Weights that are views of a file can be saved over that very file.
TEST_F(WeightsTest, SavingOverTheOpenFileIsSafe) {
  put("model.safetensors", tiny_weights());
  Tiny module;
  assign_weights(module, open(), always(at::kFloat), at::kCPU);
  save_weights(module, folder_.path().string(), at::kFloat);
  EXPECT_TRUE(at::equal(module.first->weight, tiny_weights().at("first.weight")));
  EXPECT_TRUE(at::equal(open().at("first.weight"), tiny_weights().at("first.weight")));
}

TEST_F(WeightsTest, AFailedSaveLeavesTheOldFiles) {
  Tiny module;
  assign_weights(module, tiny_weights(), always(at::kFloat), at::kCPU);
  save_weights(module, folder_.path().string(), at::kFloat);
  fs::create_directory(folder_.path() / "model-00002-of-00003.safetensors");
  const auto message = message_of(
      [&] { save_weights(module, folder_.path().string(), at::kFloat, /*shard_bytes=*/32); });
  EXPECT_TRUE(holds(message, "belongs to a folder"));
  EXPECT_EQ(open().size(), 4u);
  EXPECT_EQ(files().size(), 2u);
}

class RecordedCheckpoint : public ::testing::TestWithParam<const char*> {};

TEST_P(RecordedCheckpoint, OpensAndAgreesWithItsConfig) {
  const auto folder = testing::golden_folder() / GetParam() / "checkpoint";
  if (!fs::exists(folder)) GTEST_SKIP() << "no recorded checkpoint at " << folder;
  auto config = read_config(folder.string());
  const auto tensors = open_weights(folder.string());
  adopt_shapes(config, shapes_of(tensors));
  EXPECT_NO_THROW(validate(config));
  EXPECT_EQ(config.vision.hidden, 64);
  EXPECT_EQ(config.vision.intermediate, 256);
  EXPECT_EQ(config.vision.table_size, 37);
  EXPECT_EQ(config.proposer.box_hidden, 256);
  EXPECT_EQ(config.region.channels, 64);
  EXPECT_EQ(config.region.rounds, 5);
  EXPECT_EQ(config.region.roi_size, 14);
  EXPECT_EQ(config.region.region_hidden, 64);
  EXPECT_EQ(config.projector.merge, 2);
  EXPECT_EQ(tensors.count(kDetector + "bbox_embed.2.layers.2.bias"), 1u);
  EXPECT_EQ(tensors.count(kDetector + "decoder.class_embed_enc.bias"), 0u);
  // Saved in our format, every tensor comes back to the bit.
  const TemporaryFolder again;
  write_safetensors((again.path() / "model.safetensors").string(), tensors);
  for (const auto& [name, tensor] : open_weights(again.path().string())) {
    EXPECT_TRUE(at::equal(tensor, tensors.at(name))) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, RecordedCheckpoint,
                         ::testing::Values("single_level", "refer_two_boxes", "multi_turn"));

}  // namespace
}  // namespace groma::io
