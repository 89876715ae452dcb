#include <cmath>
#include <string_view>

#include "check.h"
#include "config.h"

namespace groma {
namespace {

constexpr const char* kAdvice = "; mend config.json or take it from the release";

/// Groma's own tokens that name no region: [PAD], <image>, ..., [grounding].
constexpr int64_t kControlTokens = 14;

/// least <= value <= most; NaN is outside.
template <typename T>
void within(std::string_view key, T value, T least, T most) {
  require(value >= least && value <= most, "check config.json: ", key, " is ", value, ", expected ",
          least, " to ", most, kAdvice);
}

void divides(std::string_view part_key, int64_t part, std::string_view key, int64_t whole) {
  require(whole % part == 0, "check config.json: ", key, " is ", whole, ", expected a multiple of ",
          part_key, " = ", part, kAdvice);
}

// Widths, layers and the like: far above any model of this kind, small enough that no product of
// sizes overflows.
constexpr int64_t kMostWidth = 32'768, kMostInner = 262'144, kMostLayers = 512, kMostHeads = 512;

void validate(const VisionConfig& config) {
  const std::string keys = "perceiver_cfg.vis_encoder_cfg.";
  within<int64_t>(keys + "patch_size", config.patch, 1, 64);
  within<int64_t>("image_size", config.image_size, config.patch, 4096);
  divides(keys + "patch_size", config.patch, "image_size", config.image_size);
  within<int64_t>("image_size / patch_size", config.grid(), 1, 256);
  within<int64_t>(keys + "image_size / patch_size", config.table_size, 1, 512);
  within<int64_t>(keys + "hidden_size", config.hidden, 4, kMostWidth);
  within<int64_t>(keys + "num_attention_heads", config.heads, 1, kMostHeads);
  divides(keys + "num_attention_heads", config.heads, keys + "hidden_size", config.hidden);
  within<int64_t>(keys + "hidden_size * mlp_ratio", config.intermediate, 1, kMostInner);
  // The outputs of the last four layers are used.
  within<int64_t>(keys + "num_hidden_layers", config.layers, 4, kMostLayers);
  within(keys + "layer_norm_eps", config.norm_eps, 1e-12, 0.1);
  within<int64_t>("perceiver_cfg.vis_output_layer", config.output_layer, -4, -1);
}

void validate(const ProposerConfig& config) {
  const std::string keys = "perceiver_cfg.ddetr_cfg.";
  within<int64_t>(keys + "d_model", config.d_model, 4, kMostWidth);
  // Sine and cosine of x and y share the width of a position.
  divides("four", 4, keys + "d_model", config.d_model);
  within<int64_t>(keys + "encoder_layers", config.encoder_layers, 1, kMostLayers);
  within<int64_t>(keys + "decoder_layers", config.decoder_layers, 1, kMostLayers);
  within<int64_t>(keys + "encoder_attention_heads", config.encoder_heads, 1, kMostHeads);
  within<int64_t>(keys + "decoder_attention_heads", config.decoder_heads, 1, kMostHeads);
  divides(keys + "encoder_attention_heads", config.encoder_heads, keys + "d_model", config.d_model);
  divides(keys + "decoder_attention_heads", config.decoder_heads, keys + "d_model", config.d_model);
  within<int64_t>(keys + "encoder_ffn_dim", config.encoder_ffn, 1, kMostInner);
  within<int64_t>(keys + "decoder_ffn_dim", config.decoder_ffn, 1, kMostInner);
  within<int64_t>(keys + "encoder_n_points", config.encoder_points, 1, 64);
  within<int64_t>(keys + "decoder_n_points", config.decoder_points, 1, 64);
  within<int64_t>(keys + "num_feature_levels", config.levels, 1, 4);
  within<int64_t>(keys + "num_queries", config.queries, 1, 10'000);
  within<int64_t>("box_hidden", config.box_hidden, 1, kMostWidth);
}

void validate(const RegionConfig& config, int64_t grid) {
  within<int64_t>("region_channels", config.channels, 4, kMostWidth);
  divides("four", 4, "region_channels", config.channels);  // a quarter comes from each neighbour
  within<int64_t>("fuse_groups", config.groups, 1, config.channels);
  divides("fuse_groups", config.groups, "region_channels", config.channels);
  within<int64_t>("fuse_rounds", config.rounds, 1, 64);
  within<int64_t>("roi_size", config.roi_size, 1, 64);
  within<int64_t>("position_hidden", config.position_hidden, 1, kMostWidth);
  within<int64_t>("region_hidden", config.region_hidden, 1, kMostWidth);
  within<std::size_t>("the length of region_scales", config.scales.size(), 3, 3);
  for (const auto scale : config.scales) {
    within("each of region_scales", scale, 1.0 / 64, 16.0);
    const auto side = scale * static_cast<double>(grid);
    require(side == std::floor(side) && side >= 1, "check config.json: region_scales hold ", scale,
            ", which makes maps of ", side, " cells a side from ", grid,
            " patches, expected a whole number", kAdvice);
  }
}

void validate(const LanguageConfig& config) {
  const std::string keys = "llm_cfg.";
  within<int64_t>(keys + "vocab_size", config.vocabulary, 1, 1'000'000);
  within<int64_t>("num_new_token", config.new_tokens, kControlTokens + 1, 100'000);
  within<int64_t>(keys + "hidden_size", config.hidden, 2, kMostWidth);
  within<int64_t>(keys + "intermediate_size", config.intermediate, 1, kMostInner);
  within<int64_t>(keys + "num_hidden_layers", config.layers, 1, kMostLayers);
  within<int64_t>(keys + "num_attention_heads", config.heads, 1, kMostHeads);
  within<int64_t>(keys + "num_key_value_heads", config.kv_heads, 1, config.heads);
  divides(keys + "num_key_value_heads", config.kv_heads, keys + "num_attention_heads",
          config.heads);
  // Rotary embedding turns pairs of a head's components.
  divides("2 * " + keys + "num_attention_heads", 2 * config.heads, keys + "hidden_size",
          config.hidden);
  within(keys + "rms_norm_eps", config.norm_eps, 1e-12, 0.1);
  within(keys + "rope_theta", config.rope_theta, 1.0, 1e9);
  within<int64_t>(keys + "max_position_embeddings", config.max_positions, 1, 1'000'000);
}

}  // namespace

void validate(const ModelConfig& config) {
  validate(config.vision);
  validate(config.proposer);
  validate(config.region, config.vision.grid());
  validate(config.language);
  within("box_score_thres", config.select.box_score, 0.0, 1.0);
  within("nms_thres", config.select.nms_iou, 0.0, 1.0);
  within<int64_t>("max_region_num", config.select.max_regions, 1,
                  config.language.new_tokens - kControlTokens);
  within<int64_t>("token_merge", config.projector.merge, 1, config.vision.grid());
  divides("token_merge", config.projector.merge, "image_size / patch_size", config.vision.grid());
  within<int64_t>("llm_cfg.max_position_embeddings", config.language.max_positions,
                  config.image_tokens() + 1, 1'000'000);
}

}  // namespace groma
