#include "config.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "check.h"
#include "io/file.h"
#include "io/json.h"

namespace groma {
namespace {

using nlohmann::json;

constexpr const char* kFileName = "config.json";
constexpr int64_t kMostNumber = 2'000'000;  // the product of three such numbers fits 64 bits

std::string path_of(const std::string& directory) {
  return (std::filesystem::path(directory) / kFileName).string();
}

/// An object of config.json together with its place, for messages. Null counts as missing.
class Section {
 public:
  Section(const json& object, std::string where, std::string prefix)
      : object_(object), where_(std::move(where)), prefix_(std::move(prefix)) {
    require(object_.is_object(), where_, prefix_.empty() ? "the top level" : prefix_,
            " is not an object; take config.json from a Groma release");
  }

  Section section(const std::string& key) const {
    require(has(key), where_, prefix_, key, " is missing; take config.json from a Groma release");
    return Section(object_.at(key), where_, prefix_ + key + ".");
  }

  bool has(const std::string& key) const {
    return object_.contains(key) && !object_.at(key).is_null();
  }

  int64_t integer(const std::string& key, int64_t fallback, int64_t least = 1) const {
    if (!has(key)) return fallback;
    const auto& value = object_.at(key);
    // Numbers beyond 64 bits are read as fractions.
    const bool fits = io::holds_whole<int64_t>(value) && value.get<int64_t>() >= least &&
                      value.get<int64_t>() <= kMostNumber;
    check(fits, key,
          "a whole number from " + std::to_string(least) + " to " + std::to_string(kMostNumber));
    return value.get<int64_t>();
  }

  double number(const std::string& key, double fallback) const {
    if (!has(key)) return fallback;
    check(object_.at(key).is_number(), key, "a number");
    return object_.at(key).get<double>();
  }

  std::string text(const std::string& key, const std::string& fallback,
                   const std::vector<std::string>& allowed) const {
    if (!has(key)) return fallback;
    std::string list;
    for (const auto& one : allowed) list += (list.empty() ? "\"" : " or \"") + one + "\"";
    const auto& value = object_.at(key);
    check(value.is_string() &&
              std::find(allowed.begin(), allowed.end(), value.get<std::string>()) != allowed.end(),
          key, list);
    return value.get<std::string>();
  }

  std::vector<double> numbers(const std::string& key, const std::vector<double>& fallback) const {
    if (!has(key)) return fallback;
    const auto& list = object_.at(key);
    check(list.is_array() && list.size() == fallback.size() &&
              std::all_of(list.begin(), list.end(), [](const json& n) { return n.is_number(); }),
          key, "a list of " + std::to_string(fallback.size()) + " numbers");
    return list.get<std::vector<double>>();
  }

  /// Refuses any value but the one that is implemented; `fallback` stands for a missing key.
  void only(const std::string& key, const json& supported, const json& fallback) const {
    require((has(key) ? object_.at(key) : fallback) == supported, where_, prefix_, key, " is ",
            found(key), ", only ", supported.dump(), " is supported; use a Groma release");
  }
  void only(const std::string& key, const json& supported) const {
    only(key, supported, supported);
  }

  const json& object() const { return object_; }

  /// Throws unless the value of `key` is what it should be.
  void check(bool good, const std::string& key, const std::string& expected) const {
    require(good, where_, prefix_, key, " is ", found(key), ", expected ", expected,
            "; mend config.json or take it from the release");
  }

 private:
  std::string found(const std::string& key) const {
    constexpr std::size_t kMost = 60;
    if (!object_.contains(key)) return "missing";
    const auto text = object_.at(key).dump();
    return text.size() > kMost ? text.substr(0, kMost) + "..." : text;
  }

  const json& object_;
  std::string where_, prefix_;
};

/// Defaults are those of transformers' Dinov2Config.
VisionConfig read_vision(const Section& top, const Section& perceiver) {
  const auto in = perceiver.section("vis_encoder_cfg");
  in.only("model_type", "dinov2");
  in.only("hidden_act", "gelu");
  in.only("use_swiglu_ffn", false);
  in.only("qkv_bias", true);
  in.only("num_channels", 3);
  VisionConfig out;
  out.image_size = top.integer("image_size", out.image_size);
  out.patch = in.integer("patch_size", 16);
  out.table_size = in.integer("image_size", 224) / out.patch;
  out.hidden = in.integer("hidden_size", 768);
  const double ratio = in.number("mlp_ratio", 4);
  in.check(ratio > 0 && ratio <= 1000, "mlp_ratio", "a number above 0 and up to 1000");
  out.intermediate = static_cast<int64_t>(static_cast<double>(out.hidden) * ratio);
  out.layers = in.integer("num_hidden_layers", 12);
  out.heads = in.integer("num_attention_heads", 12);
  out.norm_eps = in.number("layer_norm_eps", 1e-6);
  out.output_layer = perceiver.integer("vis_output_layer", -1, -kMostNumber);
  return out;
}

/// Defaults are those of transformers' DeformableDetrConfig.
ProposerConfig read_proposer(const Section& top, const Section& perceiver) {
  const auto in = perceiver.section("ddetr_cfg");
  in.only("model_type", "deformable_detr");
  in.only("two_stage", true, false);
  in.only("with_box_refine", true, false);
  in.only("activation_function", "relu");
  in.only("position_embedding_type", "sine");
  // Classes are counted by their names, of which transformers assumes two.
  if (in.has("id2label")) {
    const auto& labels = in.object().at("id2label");
    in.check(labels.is_object() && labels.size() == 1, "id2label", "one label");
  } else {
    in.only("num_labels", 1, 2);
  }
  ProposerConfig out;
  out.d_model = in.integer("d_model", 256);
  out.encoder_layers = in.integer("encoder_layers", 6);
  out.decoder_layers = in.integer("decoder_layers", 6);
  out.encoder_heads = in.integer("encoder_attention_heads", 8);
  out.decoder_heads = in.integer("decoder_attention_heads", 8);
  out.encoder_ffn = in.integer("encoder_ffn_dim", 1024);
  out.decoder_ffn = in.integer("decoder_ffn_dim", 1024);
  out.encoder_points = in.integer("encoder_n_points", 4);
  out.decoder_points = in.integer("decoder_n_points", 4);
  out.levels = in.integer("num_feature_levels", 4);
  out.queries = in.integer("num_queries", 300);
  // The original takes as many proposals as there are queries, or cannot run.
  in.only("two_stage_num_proposals", out.queries);
  out.box_hidden = top.integer("box_hidden", out.box_hidden);
  return out;
}

SelectConfig read_select(const Section& top) {
  SelectConfig out;
  out.box_score = top.number("box_score_thres", out.box_score);
  out.nms_iou = top.number("nms_thres", out.nms_iou);
  out.max_regions = top.integer("max_region_num", out.max_regions);
  return out;
}

RegionConfig read_region(const Section& top, const VisionConfig& vision) {
  RegionConfig out;
  out.channels = top.integer("region_channels", vision.hidden);
  out.rounds = top.integer("fuse_rounds", out.rounds);
  out.groups = top.integer("fuse_groups", out.groups);
  out.roi_size = top.integer("roi_size", out.roi_size);
  out.scales = top.numbers("region_scales", out.scales);
  out.geometry = top.text("roi_geometry", "released", {"released", "exact"}) == "exact"
                     ? RoiGeometry::kExact
                     : RoiGeometry::kReleased;
  out.position_hidden = top.integer("position_hidden", out.position_hidden);
  out.region_hidden = top.integer("region_hidden", out.region_hidden);
  return out;
}

/// Defaults are those of transformers' LlamaConfig.
LanguageConfig read_language(const Section& top) {
  const auto in = top.section("llm_cfg");
  in.only("model_type", "llama");
  in.only("hidden_act", "silu");
  in.only("tie_word_embeddings", false);
  in.only("rope_scaling", nullptr);
  in.only("attention_bias", false);
  in.only("mlp_bias", false);
  LanguageConfig out;
  out.vocabulary = in.integer("vocab_size", 32000);
  out.new_tokens = top.integer("num_new_token", out.new_tokens);
  top.only("vocab_size", out.vocabulary + out.new_tokens);
  out.hidden = in.integer("hidden_size", 4096);
  out.intermediate = in.integer("intermediate_size", 11008);
  out.layers = in.integer("num_hidden_layers", 32);
  out.heads = in.integer("num_attention_heads", 32);
  out.kv_heads = in.integer("num_key_value_heads", out.heads);
  in.only("head_dim", out.hidden / out.heads);
  out.norm_eps = in.number("rms_norm_eps", 1e-6);
  out.rope_theta = in.number("rope_theta", 10000);
  out.max_positions = in.integer("max_position_embeddings", 2048);
  return out;
}

/// Adds `key` where `value` is not what a reader assumes without it.
template <typename T>
void add_own(json& out, const char* key, const T& value, const T& fallback) {
  if (value != fallback) out[key] = value;
}

json own_keys(const ModelConfig& config) {
  const ModelConfig standard;
  const auto& region = config.region;
  json out = json::object();
  add_own(out, "image_size", config.vision.image_size, standard.vision.image_size);
  add_own(out, "box_hidden", config.proposer.box_hidden, standard.proposer.box_hidden);
  add_own(out, "region_channels", region.channels, config.vision.hidden);
  add_own(out, "fuse_rounds", region.rounds, standard.region.rounds);
  add_own(out, "fuse_groups", region.groups, standard.region.groups);
  add_own(out, "roi_size", region.roi_size, standard.region.roi_size);
  add_own(out, "region_scales", region.scales, standard.region.scales);
  if (region.geometry == RoiGeometry::kExact) out["roi_geometry"] = "exact";
  add_own(out, "position_hidden", region.position_hidden, standard.region.position_hidden);
  add_own(out, "region_hidden", region.region_hidden, standard.region.region_hidden);
  add_own(out, "token_merge", config.projector.merge, standard.projector.merge);
  return out;
}

json vision_keys(const VisionConfig& in) {
  json out = {{"model_type", "dinov2"},
              {"hidden_size", in.hidden},
              {"image_size", in.table_size * in.patch},
              {"patch_size", in.patch},
              {"num_hidden_layers", in.layers},
              {"num_attention_heads", in.heads},
              {"layer_norm_eps", in.norm_eps}};
  if (in.intermediate % in.hidden == 0) {
    out["mlp_ratio"] = in.intermediate / in.hidden;
  } else {
    // Half a unit more, as the product is cut to a whole number when it is read.
    out["mlp_ratio"] =
        (static_cast<double>(in.intermediate) + 0.5) / static_cast<double>(in.hidden);
  }
  return out;
}

json proposer_keys(const ProposerConfig& in) {
  return {{"model_type", "deformable_detr"},
          {"two_stage", true},
          {"with_box_refine", true},
          {"id2label", {{"0", "LABEL_0"}}},
          {"label2id", {{"LABEL_0", 0}}},
          {"d_model", in.d_model},
          {"encoder_layers", in.encoder_layers},
          {"decoder_layers", in.decoder_layers},
          {"encoder_attention_heads", in.encoder_heads},
          {"decoder_attention_heads", in.decoder_heads},
          {"encoder_ffn_dim", in.encoder_ffn},
          {"decoder_ffn_dim", in.decoder_ffn},
          {"encoder_n_points", in.encoder_points},
          {"decoder_n_points", in.decoder_points},
          {"num_feature_levels", in.levels},
          {"num_queries", in.queries},
          {"two_stage_num_proposals", in.queries}};
}

json language_keys(const LanguageConfig& in) {
  return {{"model_type", "llama"},
          {"architectures", {"LlamaForCausalLM"}},
          {"hidden_act", "silu"},
          {"vocab_size", in.vocabulary},
          {"hidden_size", in.hidden},
          {"intermediate_size", in.intermediate},
          {"num_hidden_layers", in.layers},
          {"num_attention_heads", in.heads},
          {"num_key_value_heads", in.kv_heads},
          {"rms_norm_eps", in.norm_eps},
          {"rope_theta", in.rope_theta},
          {"rope_scaling", nullptr},
          {"max_position_embeddings", in.max_positions},
          {"tie_word_embeddings", false},
          {"bos_token_id", 1},
          {"eos_token_id", 2},
          {"pad_token_id", 0}};
}

}  // namespace

ModelConfig read_config(const std::string& directory) {
  require(std::filesystem::is_directory(directory), "load ", io::quote(directory),
          ": there is no such folder; name one on this machine, nothing is downloaded");
  return read_config_file(path_of(directory));
}

ModelConfig read_config_file(const std::string& path) {
  const auto file = io::read_json(path);
  const auto where = "read " + io::quote(path) + ": ";
  const Section top(file, where, "");
  const bool ours = top.has("model_type") && file.at("model_type") == "groma";
  require(ours, where, "model_type is ",
          file.contains("model_type") ? file.at("model_type").dump().substr(0, 60) : "missing",
          ", expected \"groma\": this is a checkpoint of another architecture",
          "; name the folder of a Groma checkpoint");
  const auto perceiver = top.section("perceiver_cfg");
  perceiver.only("model_type", "ddetr");
  ModelConfig config;
  config.vision = read_vision(top, perceiver);
  config.proposer = read_proposer(top, perceiver);
  config.select = read_select(top);
  config.region = read_region(top, config.vision);
  config.projector.merge = top.integer("token_merge", config.projector.merge);
  config.language = read_language(top);
  config.dtype = top.text("torch_dtype", config.dtype, {"float32", "float16", "bfloat16"});
  config.quantization = top.text("quantization", "none", {"none", "int8", "int4"});
  return config;
}

void write_config(const std::string& directory, const ModelConfig& config) {
  auto out = own_keys(config);
  out["model_type"] = "groma";
  out["architectures"] = {"GromaModel"};
  out["torch_dtype"] = config.dtype;
  if (config.quantization != "none") out["quantization"] = config.quantization;
  out["box_score_thres"] = config.select.box_score;
  out["nms_thres"] = config.select.nms_iou;
  out["max_region_num"] = config.select.max_regions;
  out["num_new_token"] = config.language.new_tokens;
  out["vocab_size"] = config.language.vocabulary + config.language.new_tokens;
  out["llm_cfg"] = language_keys(config.language);
  out["perceiver_cfg"] = {{"model_type", "ddetr"},
                          {"vis_output_layer", config.vision.output_layer},
                          {"zs_weight_path", nullptr},
                          {"vis_encoder_cfg", vision_keys(config.vision)},
                          {"ddetr_cfg", proposer_keys(config.proposer)}};
  io::make_folder(directory);
  io::write_file(path_of(directory), out.dump(2) + "\n");
}

}  // namespace groma
