#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "config.h"
#include "groma/train.h"
#include "language/tokenizer_writer.h"
#include "train/worlds/questions.h"

namespace groma::train::testing {

/// A folder of its own for a test, removed at the end.
class RunFolder {
 public:
  explicit RunFolder(const std::string& name)
      : path_(std::filesystem::temp_directory_path() /
              ("groma-train-" + name + "-" + std::to_string(getpid()))) {
    std::filesystem::create_directories(path_ / "model");
  }
  ~RunFolder() { std::filesystem::remove_all(path_); }
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name) << text;
    return *this / name;
  }

 private:
  std::filesystem::path path_;
};

inline ModelConfig tiny_config(int64_t vocabulary) {
  ModelConfig config;
  config.vision = {84, 14, 6, 32, 64, 4, 2, 1e-6, -1};
  auto& proposer = config.proposer;
  proposer.d_model = 32;
  proposer.encoder_layers = proposer.decoder_layers = 1;
  proposer.encoder_heads = proposer.decoder_heads = 4;
  proposer.encoder_ffn = proposer.decoder_ffn = 64;
  proposer.levels = 1;
  proposer.queries = 20;
  proposer.box_hidden = 32;
  auto& region = config.region;
  region.channels = 16;
  region.rounds = 1;
  region.groups = 4;
  region.roi_size = 3;
  region.scales = {2, 1, 0.5};
  region.geometry = RoiGeometry::kExact;
  region.position_hidden = 16;
  region.region_hidden = 32;
  auto& language = config.language;
  language.vocabulary = vocabulary;
  language.hidden = 32;
  language.intermediate = 64;
  language.layers = 3;
  language.heads = language.kv_heads = 2;
  language.max_positions = 1024;
  return config;
}

/// Writes config.json and a tokenizer: a model without weights, which training draws.
inline void write_tiny_model(const RunFolder& folder) {
  constexpr int64_t kVocabulary = 800;
  write_config(folder / "model", tiny_config(kVocabulary));
  write_trained_tokenizer(folder / "model", vocabulary_sentences(World::kShapes, 20), kVocabulary,
                          100);
}

inline TrainOptions options_for(const RunFolder& folder, const std::string& recipe,
                                const std::string& out) {
  TrainOptions options;
  options.recipe = folder.write("recipe.json", recipe);
  options.model = folder / "model";
  options.out = folder / out;
  options.threads = 2;
  options.seed = 3;
  return options;
}

inline constexpr const char* kDetection = R"({
  "stage": "detection", "trainable": ["perceiver.", "region_encoder."],
  "schedule": {"steps": 8, "warmup": 2, "decay": 4},
  "optimizer": {"rate": 1e-3}, "batch": 2, "losses": {"detection": 1, "attributes": 1},
  "validate_every": 1000, "validation_scenes": 0, "checkpoint_minutes": 0})";

inline constexpr const char* kAlignment = R"({
  "stage": "alignment",
  "trainable": ["llm.", "extra_lm_head.", "new_input_embs.", "region_encoder.roi_align.pos_embedd."],
  "schedule": {"steps": 8, "warmup": 2, "decay": 4}, "autocast": true,
  "optimizer": {"rate": 1e-3}, "batch": 2,
  "losses": {"answer": 1, "copy": 0.2, "attention": 0.3, "bag": 0.3},
  "oracle_features": true, "image_token_share": 0, "questions_per_image": 3,
  "phases": [{"until": 1, "max_objects": 4, "questions": {"attribute": 1, "caption": 1}}],
  "validate_every": 1000, "validation_scenes": 0, "checkpoint_minutes": 0})";

inline constexpr const char* kInstruction = R"({
  "stage": "instruction",
  "trainable": ["llm.", "extra_lm_head.", "new_input_embs.", "region_encoder.", "img_txt_bridge.", "perceiver."],
  "bfloat16": ["perceiver.vis_encoder.", "region_encoder.", "img_txt_bridge."], "autocast": true,
  "schedule": {"steps": 8, "warmup": 2, "decay": 4},
  "optimizer": {"rate": 1e-3}, "batch": 2,
  "losses": {"answer": 1, "copy": 0.1, "words": 0.5, "detection": 0.3, "attention": 0.3, "bag": 0.3},
  "image_token_share": 0.5, "questions_per_image": 3,
  "phases": [{"until": 1, "max_objects": 4, "questions": {"attribute": 1, "caption": 1}}],
  "validate_every": 4, "validation_scenes": 2, "checkpoint_minutes": 0})";

}  // namespace groma::train::testing
