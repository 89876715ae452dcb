#include <cmath>
#include <set>
#include <string_view>

#include "check.h"
#include "config.h"
#include "io/file.h"

// What the tensors of a checkpoint say about its configuration.

namespace groma {
namespace {

constexpr const char* kVision = "perceiver.vis_encoder.";
constexpr const char* kProposer = "perceiver.ddetr_transformer.";
constexpr const char* kRegion = "region_encoder.";
constexpr const char* kLanguage = "llm.model.";

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (const auto size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

/// The root of a square, or 0 where `value` is none.
int64_t square_root(int64_t value) {
  if (value <= 0) return 0;
  const auto root = static_cast<int64_t>(std::llround(std::sqrt(static_cast<double>(value))));
  return root <= 3'000'000'000 && root * root == value ? root : 0;
}

/// One tensor's shape; every question is passed over when the tensor is missing.
class Shape {
 public:
  Shape(const ShapeTable& table, std::string name, std::size_t rank) : name_(std::move(name)) {
    const auto found = table.find(name_);
    if (found == table.end()) return;
    require(found->second.size() == rank, "check config.json against the weights: tensor ",
            io::quote(name_), " is ", shape_text(found->second), ", expected ", rank,
            " dimensions; take both from one release");
    shape_ = &found->second;
  }

  explicit operator bool() const { return shape_ != nullptr; }
  int64_t operator[](std::size_t i) const { return (*shape_)[i]; }

  /// Compares what config.json says with what the tensor says.
  void agree(std::string_view key, int64_t stated, int64_t found) const {
    require(stated == found, "check config.json against the weights: ", key, " is ", stated,
            ", tensor ", io::quote(name_), " of shape ", shape_text(*shape_), " says ", found,
            "; take both from one release");
  }

  /// The side of a square number of things that the tensor counts.
  int64_t side(int64_t count, std::string_view what) const {
    const auto root = square_root(count);
    require(root > 0, "check the weights: tensor ", io::quote(name_), " of shape ",
            shape_text(*shape_), " holds ", count, " ", what,
            ", expected a square number; get the weights again");
    return root;
  }

 private:
  std::string name_;
  const std::vector<int64_t>* shape_ = nullptr;
};

/// How many modules `prefix`0, `prefix`1, ... the tensors belong to; 0 where there are none.
int64_t count_modules(const ShapeTable& table, const std::string& prefix) {
  constexpr std::size_t kMostDigits = 6;
  std::set<int64_t> numbers;
  for (auto it = table.lower_bound(prefix); it != table.end(); ++it) {
    if (!std::string_view(it->first).starts_with(prefix)) break;
    const auto digits =
        it->first.substr(prefix.size(), it->first.find('.', prefix.size()) - prefix.size());
    const bool number = !digits.empty() && digits.size() <= kMostDigits &&
                        digits.find_first_not_of("0123456789") == std::string::npos;
    require(number, "check the weights: tensor ", io::quote(it->first), " has no number after ",
            io::quote(prefix), "; take config.json and weights from one release");
    numbers.insert(std::stoll(digits));
  }
  const auto count = static_cast<int64_t>(numbers.size());
  require(count == 0 || *numbers.rbegin() == count - 1, "check the weights: of ",
          io::quote(prefix + "N"), " the tensors hold ", count, ", but not those from 0 to ",
          count - 1, "; get the weights again");
  return count;
}

void agree_on_layers(const ShapeTable& table, const std::string& prefix, std::string_view key,
                     int64_t stated) {
  const auto found = count_modules(table, prefix);
  require(found == 0 || found == stated, "check config.json against the weights: ", key, " is ",
          stated, ", the weights hold ", found, " of ", io::quote(prefix + "N"),
          "; take both from one release");
}

void adopt_vision(VisionConfig& config, const ShapeTable& table) {
  const std::string keys = "perceiver_cfg.vis_encoder_cfg.", base = kVision;
  if (const Shape s(table, base + "embeddings.patch_embeddings.projection.weight", 4); s) {
    s.agree(keys + "hidden_size", config.hidden, s[0]);
    s.agree(keys + "patch_size", config.patch, s[2]);
  }
  if (const Shape s(table, base + "embeddings.position_embeddings", 3); s) {
    s.agree(keys + "image_size / patch_size", config.table_size,
            s.side(s[1] - 1, "patch positions"));
  }
  agree_on_layers(table, base + "encoder.layer.", keys + "num_hidden_layers", config.layers);
  if (const Shape s(table, base + "encoder.layer.0.mlp.fc1.weight", 2); s) {
    config.intermediate = s[0];
  }
}

void adopt_proposer(ProposerConfig& config, const ShapeTable& table) {
  const std::string keys = "perceiver_cfg.ddetr_cfg.", base = kProposer;
  if (const Shape s(table, base + "level_embed", 2); s) {
    s.agree(keys + "num_feature_levels", config.levels, s[0]);
    s.agree(keys + "d_model", config.d_model, s[1]);
  }
  if (const Shape s(table, base + "query_position_embeddings.weight", 2); s) {
    s.agree(keys + "num_queries", config.queries, s[0]);
  }
  agree_on_layers(table, base + "encoder.layers.", keys + "encoder_layers", config.encoder_layers);
  agree_on_layers(table, base + "decoder.layers.", keys + "decoder_layers", config.decoder_layers);
  if (const Shape s(table, base + "encoder.layers.0.fc1.weight", 2); s) {
    s.agree(keys + "encoder_ffn_dim", config.encoder_ffn, s[0]);
  }
  if (const Shape s(table, base + "decoder.layers.0.fc1.weight", 2); s) {
    s.agree(keys + "decoder_ffn_dim", config.decoder_ffn, s[0]);
  }
  const std::string samples = "_attention_heads * num_feature_levels * ";
  if (const Shape s(table, base + "encoder.layers.0.self_attn.attention_weights.weight", 2); s) {
    s.agree(keys + "encoder" + samples + "encoder_n_points",
            config.encoder_heads * config.levels * config.encoder_points, s[0]);
  }
  if (const Shape s(table, base + "decoder.layers.0.encoder_attn.attention_weights.weight", 2); s) {
    s.agree(keys + "decoder" + samples + "decoder_n_points",
            config.decoder_heads * config.levels * config.decoder_points, s[0]);
  }
  if (const Shape s(table, base + "bbox_embed.0.layers.0.weight", 2); s) config.box_hidden = s[0];
}

void adopt_region(RegionConfig& config, const ShapeTable& table) {
  const std::string base = kRegion;
  if (const Shape s(table, base + "mlvl_fuse.input_conv.0.weight", 4); s) config.channels = s[0];
  const auto rounds = count_modules(table, base + "mlvl_fuse.fuse_convs.");
  if (rounds > 0) config.rounds = rounds;
  agree_on_layers(table, base + "mlvl_fuse.input_conv.", "the length of region_scales",
                  static_cast<int64_t>(config.scales.size()));
  if (const Shape s(table, base + "roi_align.pos_embedd.0.weight", 2); s) {
    config.position_hidden = s[0];
  }
  if (const Shape s(table, base + "roi_align.flatten_linear.weight", 2); s) {
    config.region_hidden = s[0];
    const bool whole = config.channels > 0 && s[1] % config.channels == 0;
    config.roi_size = s.side(whole ? s[1] / config.channels : 0, "pooled cells a channel");
  }
}

void adopt_language(LanguageConfig& config, const ShapeTable& table) {
  const std::string keys = "llm_cfg.", base = kLanguage;
  if (const Shape s(table, base + "embed_tokens.weight", 2); s) {
    s.agree(keys + "vocab_size", config.vocabulary, s[0]);
    s.agree(keys + "hidden_size", config.hidden, s[1]);
  }
  if (const Shape s(table, "new_input_embs.weight", 2); s) {
    s.agree("num_new_token", config.new_tokens, s[0]);
  }
  agree_on_layers(table, base + "layers.", keys + "num_hidden_layers", config.layers);
  if (const Shape s(table, base + "layers.0.mlp.gate_proj.weight", 2); s) {
    s.agree(keys + "intermediate_size", config.intermediate, s[0]);
  }
  if (const Shape s(table, base + "layers.0.self_attn.k_proj.weight", 2); s) {
    s.agree(keys + "num_key_value_heads * hidden_size / num_attention_heads",
            config.hidden / config.heads * config.kv_heads, s[0]);
  }
}

}  // namespace

void adopt_shapes(ModelConfig& config, const ShapeTable& shapes) {
  adopt_vision(config.vision, shapes);
  adopt_proposer(config.proposer, shapes);
  adopt_region(config.region, shapes);
  adopt_language(config.language, shapes);
  if (const Shape s(shapes, "img_txt_bridge.0.weight", 2); s) {
    const bool whole = s[1] % config.vision.hidden == 0;
    config.projector.merge =
        s.side(whole ? s[1] / config.vision.hidden : 0, "merged patches a token");
  }
}

}  // namespace groma
