#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace groma {

/// DINOv2 encoder (HF Dinov2Config).
struct VisionConfig {
  int64_t image_size = 448;  ///< input pixels a side
  int64_t patch = 14;        ///< pixels a side of a patch
  int64_t table_size = 37;   ///< patches a side of the stored position embedding
  int64_t hidden = 768;
  int64_t intermediate = 3072;
  int64_t layers = 12;
  int64_t heads = 12;
  double norm_eps = 1e-6;
  int64_t output_layer = -1;  ///< hidden state that becomes image tokens: -1 last, ..., -4

  int64_t grid() const { return image_size / patch; }  ///< patches a side

  bool operator==(const VisionConfig&) const = default;
};

/// Deformable-DETR proposer (HF DeformableDetrConfig).
struct ProposerConfig {
  int64_t d_model = 256;
  int64_t encoder_layers = 6;
  int64_t decoder_layers = 6;
  int64_t encoder_heads = 8;
  int64_t decoder_heads = 8;
  int64_t encoder_ffn = 1024;
  int64_t decoder_ffn = 1024;
  int64_t encoder_points = 4;
  int64_t decoder_points = 4;
  int64_t levels = 4;
  int64_t queries = 300;
  int64_t box_hidden = 256;  ///< width of the three-layer box heads

  bool operator==(const ProposerConfig&) const = default;
};

/// Which candidates become regions.
struct SelectConfig {
  double box_score = 0.15;  ///< keep above
  double nms_iou = 0.6;     ///< remove above
  int64_t max_regions = 100;
  /// Of `max_regions`, the share kept free for small candidates where there are more than that.
  double small_share = 0;

  bool operator==(const SelectConfig&) const = default;
};

enum class RoiGeometry {
  kReleased,  ///< cxcywh read as corners, twice the scale: as the published weights were trained
  kExact,     ///< corners as corners
};

/// Region encoder: fused maps and multi-scale RoIAlign.
struct RegionConfig {
  int64_t channels = 1024;  ///< of the fused maps
  int64_t rounds = 5;       ///< fuse rounds
  int64_t groups = 64;      ///< of the group norms
  int64_t roi_size = 14;    ///< pooled cells a side
  /// Map sides as multiples of the patch grid, finest first.
  std::vector<double> scales = {4, 2, 1};
  RoiGeometry geometry = RoiGeometry::kReleased;
  int64_t position_hidden = 256;  ///< first layer of the box embedding
  int64_t region_hidden = 1024;   ///< after flatten_linear

  bool operator==(const RegionConfig&) const = default;
};

/// LLaMA decoder (HF LlamaConfig) with the new tokens' tables.
struct LanguageConfig {
  int64_t vocabulary = 32000;  ///< of the original language model
  int64_t new_tokens = 114;    ///< appended by Groma
  int64_t hidden = 4096;
  int64_t intermediate = 11008;
  int64_t layers = 32;
  int64_t heads = 32;
  int64_t kv_heads = 32;
  double norm_eps = 1e-5;
  double rope_theta = 10000;
  int64_t max_positions = 4096;

  bool operator==(const LanguageConfig&) const = default;
};

/// Image tokens: merge x merge neighbouring patches become one.
struct ProjectorConfig {
  int64_t merge = 2;

  bool operator==(const ProjectorConfig&) const = default;
};

struct ModelConfig {
  VisionConfig vision;
  ProposerConfig proposer;
  SelectConfig select;
  RegionConfig region;
  ProjectorConfig projector;
  LanguageConfig language;
  std::string dtype = "float32";      ///< "torch_dtype" of the file
  std::string quantization = "none";  ///< of the language model's weights: "none", "int8", "int4"

  int64_t image_tokens() const {
    const int64_t side = vision.grid() / projector.merge;
    return side * side;
  }

  bool operator==(const ModelConfig&) const = default;
};

/// Shape of every tensor in a checkpoint, by name.
using ShapeTable = std::map<std::string, std::vector<int64_t>>;

/// Reads `directory`/config.json, with the defaults of transformers 4.32.0 where keys are missing.
///
/// Keys of our own, all optional: quantization, image_size, roi_size, region_scales, fuse_groups,
/// roi_geometry
/// ("released" | "exact"), and for `groma init` alone region_channels, fuse_rounds, region_hidden,
/// position_hidden, box_hidden, token_merge (a checkpoint's tensors decide otherwise).
/// Thresholds and numbers of tokens that are missing take the published values. Sizes that the
/// tensors know still await `adopt_shapes`, and ranges `validate`.
///
/// throws    Error naming the key's full path when a value has the wrong type or is not supported,
///           or when the checkpoint is of another architecture
ModelConfig read_config(const std::string& directory);

/// The same from a file of any name.
ModelConfig read_config_file(const std::string& path);

/// Takes every size that config.json does not state (box heads, region encoder, feed-forward of the
/// vision encoder, token merge) from the tensors' shapes, and compares those that it does.
///
/// Tensors that are missing are passed over: `io::assign_weights` lists them.
///
/// throws    Error naming key and tensor when they contradict each other
void adopt_shapes(ModelConfig& config, const ShapeTable& shapes);

/// Throws an Error, naming the key, when a value is out of range or two do not fit together.
void validate(const ModelConfig& config);

/// Writes config.json in the published layout, and our own keys that are not the default.
void write_config(const std::string& directory, const ModelConfig& config);

}  // namespace groma
