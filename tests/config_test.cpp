#include "config.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "folders.h"
#include "io/file.h"
#include "io/message.h"

namespace groma {
namespace {

using nlohmann::json;
using testing::holds;
using testing::message_of;

/// The least that names a Groma checkpoint; all else has a default.
json smallest() {
  return json::parse(R"({
    "model_type": "groma",
    "llm_cfg": {},
    "perceiver_cfg": {
      "vis_encoder_cfg": {"image_size": 518, "patch_size": 14},
      "ddetr_cfg": {"two_stage": true, "with_box_refine": true, "id2label": {"0": "LABEL_0"}}
    }
  })");
}

class ConfigTest : public ::testing::Test {
 protected:
  ModelConfig read_text(const std::string& text) {
    io::write_file((folder_.path() / "config.json").string(), text);
    return read_config(folder_.path().string());
  }
  ModelConfig read(const json& config) { return read_text(config.dump()); }

  /// The message for `smallest` with the value at `place` (as in "/llm_cfg/vocab_size") replaced.
  std::string refusal(const std::string& place, const json& value) {
    auto config = smallest();
    config[json::json_pointer(place)] = value;
    return message_of([&] { read(config); });
  }

  testing::TemporaryFolder folder_;
};

TEST_F(ConfigTest, MissingKeysTakeTheDefaultsOfTransformers) {
  const auto config = read(smallest());
  EXPECT_EQ(config.vision.image_size, 448);
  EXPECT_EQ(config.vision.table_size, 37);
  EXPECT_EQ(config.vision.hidden, 768);
  EXPECT_EQ(config.vision.intermediate, 3072);
  EXPECT_EQ(config.vision.layers, 12);
  EXPECT_EQ(config.vision.norm_eps, 1e-6);
  EXPECT_EQ(config.proposer.d_model, 256);
  EXPECT_EQ(config.proposer.encoder_layers, 6);
  EXPECT_EQ(config.proposer.levels, 4);
  EXPECT_EQ(config.proposer.queries, 300);
  EXPECT_EQ(config.language.vocabulary, 32000);
  EXPECT_EQ(config.language.max_positions, 2048);
  EXPECT_EQ(config.language.norm_eps, 1e-6);
  EXPECT_EQ(config.language.kv_heads, 32);
  EXPECT_EQ(config.language.rope_theta, 10000);
  EXPECT_EQ(config.select, SelectConfig());
  EXPECT_EQ(config.region.channels, 768);  // as wide as the vision encoder
  EXPECT_EQ(config.region.geometry, RoiGeometry::kReleased);
  EXPECT_EQ(config.dtype, "float32");
  EXPECT_EQ(config.image_tokens(), 256);
  EXPECT_NO_THROW(validate(config));
}

TEST_F(ConfigTest, ReadsThePublishedLayout) {
  const auto path = testing::golden_folder() / "config_7b_layout.json";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no recorded layout at " << path;
  const auto config = read_text(io::read_text_file(path.string(), 1 << 20));
  EXPECT_EQ(config.vision.hidden, 1024);
  EXPECT_EQ(config.vision.layers, 24);
  EXPECT_EQ(config.vision.heads, 16);
  EXPECT_EQ(config.vision.intermediate, 4096);
  EXPECT_EQ(config.vision.grid(), 32);
  EXPECT_EQ(config.proposer.levels, 1);
  EXPECT_EQ(config.proposer.queries, 300);
  EXPECT_EQ(config.region.channels, 1024);
  EXPECT_EQ(config.language, LanguageConfig());  // the struct holds the published sizes
  EXPECT_EQ(config.select, SelectConfig());
  EXPECT_NO_THROW(validate(config));
}

TEST_F(ConfigTest, KeysOfOurOwnAreRead) {
  auto in = smallest();
  in.update(json::parse(R"({"image_size": 224, "roi_size": 7, "region_scales": [2, 1, 0.5],
      "fuse_groups": 32, "roi_geometry": "exact", "region_channels": 96, "fuse_rounds": 1,
      "region_hidden": 256, "position_hidden": 64, "box_hidden": 128, "token_merge": 4,
      "torch_dtype": "bfloat16"})"));
  const auto config = read(in);
  EXPECT_EQ(config.vision.image_size, 224);
  EXPECT_EQ(config.region.roi_size, 7);
  EXPECT_EQ(config.region.scales, (std::vector<double>{2, 1, 0.5}));
  EXPECT_EQ(config.region.groups, 32);
  EXPECT_EQ(config.region.geometry, RoiGeometry::kExact);
  EXPECT_EQ(config.region.channels, 96);
  EXPECT_EQ(config.region.rounds, 1);
  EXPECT_EQ(config.region.region_hidden, 256);
  EXPECT_EQ(config.region.position_hidden, 64);
  EXPECT_EQ(config.proposer.box_hidden, 128);
  EXPECT_EQ(config.projector.merge, 4);
  EXPECT_EQ(config.dtype, "bfloat16");
  EXPECT_NO_THROW(validate(config));
}

ModelConfig unusual() {
  ModelConfig config;
  config.vision = {224, 14, 16, 192, 500, 6, 3, 1e-5, -2};
  config.proposer = {128, 2, 3, 4, 8, 512, 256, 2, 3, 2, 100, 64};
  config.select = {0.25, 0.5, 50};
  config.region = {96, 1, 32, 7, {2, 1, 0.5}, RoiGeometry::kExact, 32, 256};
  config.language = {208, 80, 256, 688, 4, 8, 2, 1e-6, 50000, 2048};
  config.projector.merge = 4;
  config.dtype = "bfloat16";
  return config;
}

TEST_F(ConfigTest, WhatIsWrittenIsReadBack) {
  for (const auto& config : {ModelConfig(), unusual()}) {
    ASSERT_NO_THROW(validate(config));
    const auto folder = (folder_.path() / "new").string();
    write_config(folder, config);
    const auto again = read_config(folder);
    EXPECT_EQ(again.vision, config.vision);
    EXPECT_EQ(again.proposer, config.proposer);
    EXPECT_EQ(again.region, config.region);
    EXPECT_EQ(again.language, config.language);
    EXPECT_EQ(again, config);
  }
}

TEST_F(ConfigTest, RefusesAnotherArchitecture) {
  EXPECT_TRUE(
      holds(refusal("/model_type", "llava"), "model_type is \"llava\", expected \"groma\""));
  EXPECT_TRUE(holds(message_of([&] { read_text("{}"); }), "model_type is missing"));
  EXPECT_TRUE(holds(refusal("/perceiver_cfg/vis_encoder_cfg/model_type", "clip_vision_model"),
                    "perceiver_cfg.vis_encoder_cfg.model_type is \"clip_vision_model\", only"));
  EXPECT_TRUE(holds(refusal("/llm_cfg/model_type", "mistral"), "llm_cfg.model_type"));
}

TEST_F(ConfigTest, RefusesWhatWouldChangeTheResult) {
  const std::vector<std::pair<std::string, json>> cases = {
      {"/llm_cfg/rope_scaling", {{"type", "linear"}, {"factor", 2.0}}},
      {"/llm_cfg/hidden_act", "gelu"},
      {"/llm_cfg/tie_word_embeddings", true},
      {"/llm_cfg/attention_bias", true},
      {"/llm_cfg/head_dim", 256},
      {"/perceiver_cfg/vis_encoder_cfg/hidden_act", "relu"},
      {"/perceiver_cfg/vis_encoder_cfg/use_swiglu_ffn", true},
      {"/perceiver_cfg/vis_encoder_cfg/qkv_bias", false},
      {"/perceiver_cfg/vis_encoder_cfg/num_channels", 1},
      {"/perceiver_cfg/ddetr_cfg/two_stage", false},
      {"/perceiver_cfg/ddetr_cfg/two_stage", nullptr},
      {"/perceiver_cfg/ddetr_cfg/with_box_refine", false},
      {"/perceiver_cfg/ddetr_cfg/two_stage_num_proposals", 100},
      {"/perceiver_cfg/ddetr_cfg/activation_function", "gelu"},
      {"/perceiver_cfg/ddetr_cfg/position_embedding_type", "learned"},
      {"/perceiver_cfg/ddetr_cfg/id2label", {{"0", "a"}, {"1", "b"}}},
      {"/perceiver_cfg/ddetr_cfg/id2label", nullptr},
      {"/roi_geometry", "other"},
      {"/torch_dtype", "float64"},
      {"/vocab_size", 32000},
  };
  for (const auto& [place, value] : cases) {
    const auto message = refusal(place, value);
    EXPECT_TRUE(holds(message, "config.json': ")) << place;
    auto key = place.substr(1);
    std::replace(key.begin(), key.end(), '/', '.');
    if (place.ends_with("id2label") && value.is_null()) key = "perceiver_cfg.ddetr_cfg.num_labels";
    EXPECT_TRUE(holds(message, key + " is "));
  }
}

TEST_F(ConfigTest, WhatChangesNothingIsPassedOver) {
  auto config = smallest();
  config["perceiver_cfg"]["zs_weight_path"] = "gone.pt";
  config["perceiver_cfg"]["ddetr_cfg"]["dropout"] = 0.1;
  config["llm_cfg"]["use_cache"] = false;
  config["transformers_version"] = "4.32.0";
  EXPECT_EQ(read(config), read(smallest()));
}

TEST_F(ConfigTest, RefusesWrongTypesAndWildNumbers) {
  EXPECT_TRUE(holds(refusal("/llm_cfg/hidden_size", "4096"),
                    "llm_cfg.hidden_size is \"4096\", expected a whole number from 1"));
  for (const auto* number : {"0", "-1", "1.5", "1e3", "2000001", "9223372036854775808",
                             "18446744073709551615", "18446744073709551616", "[1]", "true"}) {
    const auto message = refusal("/llm_cfg/num_hidden_layers", json::parse(number));
    EXPECT_TRUE(holds(message, "llm_cfg.num_hidden_layers is ")) << number;
  }
  EXPECT_TRUE(holds(refusal("/nms_thres", "x"), "nms_thres is \"x\", expected a number"));
  EXPECT_TRUE(holds(refusal("/region_scales", {1, 2}), "expected a list of 3 numbers"));
  EXPECT_TRUE(holds(refusal("/region_scales", {1, 2, "x"}), "expected a list of 3 numbers"));
  EXPECT_TRUE(holds(refusal("/llm_cfg", 3), "llm_cfg. is not an object"));
  EXPECT_TRUE(holds(refusal("/llm_cfg", nullptr), "llm_cfg is missing"));
  EXPECT_TRUE(holds(refusal("/perceiver_cfg/vis_encoder_cfg/mlp_ratio", -1), "mlp_ratio is -1"));
  EXPECT_TRUE(holds(refusal("/llm_cfg/hidden_size", std::string(10'000, 'x')), "..., expected"));
}

TEST_F(ConfigTest, RefusesWhatIsNoConfig) {
  EXPECT_TRUE(holds(message_of([&] { read_text("[]"); }), "the top level is not an object"));
  EXPECT_TRUE(holds(message_of([&] { read_text("{"); }), "not valid JSON"));
  EXPECT_TRUE(holds(message_of([&] { read_text(std::string(200'000, '[')); }), "nested deeper"));
  EXPECT_TRUE(
      holds(message_of([&] { read_text(std::string(10'000'001, ' ')); }), "more than 10000000"));
  const auto nowhere = message_of([&] { read_config((folder_.path() / "none").string()); });
  EXPECT_TRUE(holds(nowhere, "there is no such folder"));
  std::filesystem::create_directory(folder_.path() / "empty");
  const auto missing = message_of([&] { read_config((folder_.path() / "empty").string()); });
  EXPECT_TRUE(holds(missing, "config.json': No such file"));
  const auto pipe = folder_.path() / "empty" / "config.json";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const auto waiting = message_of([&] { read_config((folder_.path() / "empty").string()); });
  EXPECT_TRUE(holds(waiting, "found a pipe or device"));
}

/// Shapes of a checkpoint that agrees with `unusual`.
ShapeTable shapes() {
  ShapeTable table = {
      {"perceiver.vis_encoder.embeddings.patch_embeddings.projection.weight", {192, 3, 14, 14}},
      {"perceiver.vis_encoder.embeddings.position_embeddings", {1, 257, 192}},
      {"perceiver.vis_encoder.encoder.layer.0.mlp.fc1.weight", {500, 192}},
      {"perceiver.ddetr_transformer.level_embed", {2, 128}},
      {"perceiver.ddetr_transformer.query_position_embeddings.weight", {100, 128}},
      {"perceiver.ddetr_transformer.encoder.layers.0.fc1.weight", {512, 128}},
      {"perceiver.ddetr_transformer.encoder.layers.0.self_attn.attention_weights.weight",
       {16, 128}},
      {"perceiver.ddetr_transformer.decoder.layers.0.fc1.weight", {256, 128}},
      {"perceiver.ddetr_transformer.decoder.layers.0.encoder_attn.attention_weights.weight",
       {48, 128}},
      {"perceiver.ddetr_transformer.bbox_embed.0.layers.0.weight", {64, 128}},
      {"region_encoder.mlvl_fuse.input_conv.0.weight", {96, 194, 1, 1}},
      {"region_encoder.roi_align.pos_embedd.0.weight", {32, 4}},
      {"region_encoder.roi_align.flatten_linear.weight", {256, 96 * 49}},
      {"img_txt_bridge.0.weight", {256, 16 * 192}},
      {"llm.model.embed_tokens.weight", {208, 256}},
      {"new_input_embs.weight", {80, 256}},
      {"llm.model.layers.0.mlp.gate_proj.weight", {688, 256}},
      {"llm.model.layers.0.self_attn.k_proj.weight", {64, 256}},
  };
  const auto modules = [&](const std::string& prefix, int count) {
    for (int i = 0; i < count; ++i) table[prefix + std::to_string(i) + ".x"] = {1};
  };
  modules("perceiver.vis_encoder.encoder.layer.", 6);
  modules("perceiver.ddetr_transformer.encoder.layers.", 2);
  modules("perceiver.ddetr_transformer.decoder.layers.", 3);
  modules("region_encoder.mlvl_fuse.input_conv.", 3);
  modules("region_encoder.mlvl_fuse.fuse_convs.", 1);
  modules("llm.model.layers.", 4);
  return table;
}

TEST(ConfigShapes, SizesThatOnlyTheTensorsKnowAreAdopted) {
  auto config = unusual();
  config.vision.intermediate = 768;
  config.proposer.box_hidden = 256;
  config.region.channels = 192;
  config.region.rounds = 5;
  config.region.roi_size = 14;
  config.region.position_hidden = 256;
  config.region.region_hidden = 1024;
  config.projector.merge = 2;
  adopt_shapes(config, shapes());
  EXPECT_EQ(config, unusual());
}

TEST(ConfigShapes, NoTensorsChangeNothing) {
  auto config = unusual();
  adopt_shapes(config, {});
  EXPECT_EQ(config, unusual());
}

TEST(ConfigShapes, AContradictionNamesKeyAndTensor) {
  struct Case {
    const char* tensor;
    std::vector<int64_t> shape;
    const char* message;
  };
  const Case cases[] = {
      {"perceiver.vis_encoder.embeddings.patch_embeddings.projection.weight",
       {384, 3, 14, 14},
       "perceiver_cfg.vis_encoder_cfg.hidden_size is 192, tensor "
       "'perceiver.vis_encoder.embeddings.patch_embeddings.projection.weight' of shape "
       "[384, 3, 14, 14] says 384"},
      {"perceiver.vis_encoder.embeddings.patch_embeddings.projection.weight",
       {192, 3, 16, 16},
       "vis_encoder_cfg.patch_size is 14"},
      {"perceiver.vis_encoder.embeddings.position_embeddings", {1, 1370, 192}, "says 37"},
      {"perceiver.vis_encoder.embeddings.position_embeddings", {1, 1371, 192}, "a square number"},
      {"perceiver.vis_encoder.embeddings.position_embeddings", {1, 0, 192}, "a square number"},
      {"perceiver.vis_encoder.encoder.layer.6.x",
       {1},
       "num_hidden_layers is 6, the weights hold 7"},
      {"perceiver.vis_encoder.encoder.layer.9.x", {1}, "but not those from 0 to 6"},
      {"perceiver.vis_encoder.encoder.layer.x.x", {1}, "has no number"},
      {"perceiver.ddetr_transformer.level_embed", {4, 128}, "num_feature_levels is 2"},
      {"perceiver.ddetr_transformer.level_embed", {2, 64}, "ddetr_cfg.d_model is 128"},
      {"perceiver.ddetr_transformer.level_embed", {2}, "is [2], expected 2 dimensions"},
      {"perceiver.ddetr_transformer.query_position_embeddings.weight", {300, 128}, "num_queries"},
      {"perceiver.ddetr_transformer.decoder.layers.0.fc1.weight", {9, 128}, "decoder_ffn_dim"},
      {"perceiver.ddetr_transformer.encoder.layers.0.self_attn.attention_weights.weight",
       {32, 128},
       "num_feature_levels * encoder_n_points is 16"},
      {"region_encoder.mlvl_fuse.input_conv.3.x", {1}, "the length of region_scales is 3"},
      {"region_encoder.roi_align.flatten_linear.weight", {256, 96 * 48}, "a square number"},
      {"region_encoder.mlvl_fuse.input_conv.0.weight", {0, 194, 1, 1}, "a square number"},
      {"img_txt_bridge.0.weight", {256, 15 * 192}, "a square number"},
      {"img_txt_bridge.0.weight", {256, 16 * 192 + 1}, "a square number"},
      {"llm.model.embed_tokens.weight", {32000, 256}, "llm_cfg.vocab_size is 208"},
      {"new_input_embs.weight", {114, 256}, "num_new_token is 80"},
      {"llm.model.layers.0.self_attn.k_proj.weight", {256, 256}, "num_key_value_heads"},
      {"llm.model.layers.4.x", {1}, "llm_cfg.num_hidden_layers is 4, the weights hold 5"},
  };
  for (const auto& one : cases) {
    auto table = shapes();
    table[one.tensor] = one.shape;
    auto config = unusual();
    const auto message = message_of([&] { adopt_shapes(config, table); });
    EXPECT_TRUE(holds(message, one.message)) << one.tensor;
  }
}

TEST(ConfigShapes, HugeShapesDoNotOverflow) {
  constexpr auto kMost = std::numeric_limits<int64_t>::max();
  for (auto& [name, shape] : shapes()) {
    auto table = shapes();
    for (auto& size : table[name]) size = kMost;
    auto config = unusual();
    try {
      adopt_shapes(config, table);
      EXPECT_TRUE(config == unusual() || !message_of([&] { validate(config); }).empty()) << name;
    } catch (const Error&) {
    }
  }
}

TEST(ConfigValidate, RangesAndFits) {
  const auto refusal = [](const std::function<void(ModelConfig&)>& change) {
    auto config = unusual();
    change(config);
    return message_of([&] { validate(config); });
  };
  using C = ModelConfig;
  EXPECT_TRUE(holds(refusal([](C& c) { c.vision.image_size = 225; }),
                    "check config.json: image_size is 225, expected a multiple of "
                    "perceiver_cfg.vis_encoder_cfg.patch_size = 14"));
  EXPECT_TRUE(holds(refusal([](C& c) { c.vision.image_size = 4200; }), "expected 14 to 4096"));
  EXPECT_TRUE(holds(refusal([](C& c) { c.vision.image_size = 0; }), "image_size is 0"));
  EXPECT_TRUE(holds(refusal([](C& c) { c.vision.patch = 0; }), "patch_size is 0"));
  EXPECT_TRUE(holds(refusal([](C& c) { c.vision.heads = 5; }), "num_attention_heads = 5"));
  EXPECT_TRUE(holds(refusal([](C& c) { c.vision.layers = 3; }), "expected 4 to 512"));
  EXPECT_TRUE(holds(refusal([](C& c) { c.vision.output_layer = -5; }), "vis_output_layer is -5"));
  EXPECT_TRUE(holds(refusal([](C& c) { c.vision.norm_eps = 0; }), "layer_norm_eps is 0"));
  EXPECT_TRUE(holds(refusal([](C& c) { c.proposer.d_model = 130; }), "a multiple of four = 4"));
  EXPECT_TRUE(
      holds(refusal([](C& c) { c.proposer.encoder_heads = 3; }), "encoder_attention_heads"));
  EXPECT_TRUE(holds(refusal([](C& c) { c.proposer.levels = 5; }), "num_feature_levels is 5"));
  EXPECT_TRUE(holds(refusal([](C& c) { c.proposer.queries = 0; }), "num_queries is 0"));
  EXPECT_TRUE(holds(refusal([](C& c) { c.region.groups = 36; }), "fuse_groups = 36"));
  EXPECT_TRUE(holds(refusal([](C& c) { c.region.roi_size = 65; }), "roi_size is 65"));
  EXPECT_TRUE(holds(refusal([](C& c) {
                      c.region.scales = {2, 1};
                    }),
                    "the length of region_scales"));
  EXPECT_TRUE(holds(refusal([](C& c) { c.region.scales[0] = 17; }), "each of region_scales is 17"));
  EXPECT_TRUE(holds(refusal([](C& c) { c.region.scales[2] = 0.3; }), "a whole number"));
  EXPECT_TRUE(holds(refusal([](C& c) { c.region.scales[2] = std::nan(""); }), "is nan"));
  EXPECT_TRUE(holds(refusal([](C& c) { c.language.heads = 256; }), "2 * llm_cfg.num_attention"));
  EXPECT_TRUE(holds(refusal([](C& c) { c.language.kv_heads = 3; }), "num_key_value_heads = 3"));
  EXPECT_TRUE(holds(refusal([](C& c) { c.language.new_tokens = 14; }), "num_new_token is 14"));
  EXPECT_TRUE(holds(refusal([](C& c) { c.language.max_positions = 16; }), "expected 17 to"));
  EXPECT_TRUE(holds(refusal([](C& c) { c.select.max_regions = 67; }), "max_region_num is 67"));
  EXPECT_TRUE(holds(refusal([](C& c) { c.select.nms_iou = 1.5; }), "nms_thres is 1.5"));
  EXPECT_TRUE(holds(refusal([](C& c) { c.select.box_score = std::nan(""); }), "is nan"));
  EXPECT_TRUE(holds(refusal([](C& c) { c.projector.merge = 3; }), "token_merge = 3"));
}

}  // namespace
}  // namespace groma
