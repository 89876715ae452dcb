#include "init.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <cmath>
#include <filesystem>
#include <numbers>

#include "check.h"
#include "io/weights.h"
#include "language/tokenizer_writer.h"

namespace groma {
namespace {

uint64_t mixed(uint64_t x) {  // splitmix64, Steele et al. 2014
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

uint64_t key_of(const std::string& name, uint64_t seed) {
  uint64_t key = mixed(seed);
  for (const unsigned char c : name) key = mixed(key ^ c);
  return key;
}

/// Uniform numbers of the given standard deviation; element i depends on `key` and i alone.
at::Tensor uniform(at::IntArrayRef shape, double deviation, uint64_t key) {
  auto result = at::empty(shape, at::kFloat);
  auto* out = result.data_ptr<float>();
  const double reach = deviation * std::numbers::sqrt3;
  at::parallel_for(0, result.numel(), 1 << 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto bits = mixed(key + static_cast<uint64_t>(i)) >> 11;
      out[i] = static_cast<float>((static_cast<double>(bits) * 0x1.0p-52 - 1) * reach);
    }
  });
  return result;
}

bool has(const std::string& name, std::string_view part) {
  return name.find(part) != std::string::npos;
}

/// Deformable attention begins by looking in as many directions as it has heads, point p at
/// distance p + 1. Zhu et al. 2021; reference DeformableDetrMultiscaleDeformableAttention.
at::Tensor offset_directions(int64_t size, int64_t heads, int64_t levels) {
  const auto angle = at::arange(heads, at::kFloat) * (2 * std::numbers::pi / heads);
  auto direction = at::stack({angle.cos(), angle.sin()}, -1);
  direction = direction / direction.abs().amax(-1, true);  // [heads, 2]
  const auto points = size / (heads * levels * 2);
  const auto distance = at::arange(1, points + 1, at::kFloat).view({1, 1, points, 1});
  return (direction.view({heads, 1, 1, 2}) * distance).expand({heads, levels, points, 2}).flatten();
}

at::Tensor proposer_value(const std::string& name, at::IntArrayRef shape,
                          const ProposerConfig& config, uint64_t key) {
  constexpr double kPrior = 0.01;  // probability of an object before training
  if (has(name, "sampling_offsets.bias")) {
    const auto heads = has(name, "encoder_attn") ? config.decoder_heads : config.encoder_heads;
    return offset_directions(shape[0], heads, config.levels);
  }
  if (has(name, "sampling_offsets.weight") || has(name, "attention_weights.")) {
    return at::zeros(shape);
  }
  if (has(name, "bbox_embed.") && has(name, "layers.2.")) return at::zeros(shape);
  if (has(name, "class_embed") && has(name, ".bias")) {
    return at::full(shape, -std::log((1 - kPrior) / kPrior));
  }
  if (has(name, "level_embed")) return uniform(shape, 1, key);
  // Xavier: variance 2 / (fan in + fan out).
  const auto cells = shape.size() == 4 ? shape[2] * shape[3] : 1;
  return uniform(shape, std::sqrt(2.0 / static_cast<double>((shape[0] + shape[1]) * cells)), key);
}

/// Sines and cosines of rows and columns, small: a table that is random otherwise takes long to
/// find out where a patch is.
at::Tensor position_table(at::IntArrayRef shape, uint64_t key) {
  constexpr double kAmplitude = 0.3;
  const auto width = shape[2], cells = shape[1] - 1;
  const auto side = static_cast<int64_t>(std::lround(std::sqrt(cells)));
  const auto features = width / 4;
  const auto frequency =
      at::pow(10000.0, -at::arange(features, at::kFloat) / static_cast<double>(features));
  const auto angle = at::arange(side, at::kFloat).unsqueeze(1) * frequency;  // [side, features]
  const auto waves = at::cat({angle.sin(), angle.cos()}, 1);
  const auto half = waves.size(1);
  const auto rows = waves.unsqueeze(1).expand({side, side, half});
  const auto columns = waves.unsqueeze(0).expand({side, side, half});
  auto table = uniform(shape, 0.02, key);
  table.narrow(1, 1, cells)
      .narrow(2, 0, 2 * half)
      .copy_(kAmplitude * at::cat({rows, columns}, -1).view({1, cells, 2 * half}));
  return table;
}

}  // namespace

at::Tensor initial_value(const std::string& name, at::IntArrayRef shape, const ModelConfig& config,
                         uint64_t seed) {
  const auto key = key_of(name, seed);
  const bool norm = has(name, "norm") || has(name, ".gn.") || has(name, "pos_embedd.2.") ||
                    has(name, "pos_embedd.5.") ||
                    (has(name, "input_proj.") && shape.size() == 1 && has(name, ".weight"));
  if (norm && has(name, "weight")) return at::ones(shape);
  if (has(name, "lambda1")) return at::ones(shape);  // layer scale
  if (has(name, "position_embeddings") && has(name, "vis_encoder")) {
    return position_table(shape, key);
  }
  const bool bias = name.ends_with(".bias");
  if (computes_in_float(name) &&
      (!bias || has(name, "sampling_offsets") || has(name, "class_embed"))) {
    return proposer_value(name, shape, config.proposer, key);
  }
  if (bias) return at::zeros(shape);
  if (has(name, "fuse_convs.") || has(name, "pconvs.")) {
    // He: variance 2 / fan in, for the ReLU that follows.
    return uniform(shape, std::sqrt(2.0 / static_cast<double>(shape[1] * shape[2] * shape[3])),
                   key);
  }
  if (has(name, "region_encoder.") || has(name, "img_txt_bridge.")) {
    return uniform(shape, std::sqrt(1.0 / static_cast<double>(shape[1])), key);
  }
  constexpr double kDeviation = 0.02;  // of transformers' initializer_range
  return uniform(shape, kDeviation, key);
}

void initialise(GromaModelImpl& model, uint64_t seed) {
  for (auto& item : model.named_parameters()) {
    item.value().set_data(initial_value(item.key(), item.value().sizes(), model.config, seed));
  }
}

void init_checkpoint(const std::string& config_file, const std::string& directory,
                     const std::string& dtype, uint64_t seed) {
  namespace fs = std::filesystem;
  const bool known = dtype == "float32" || dtype == "bfloat16" || dtype == "float16";
  require(known, "init: dtype is '", dtype, "'; give float32, bfloat16 or float16");
  require(!fs::exists(directory) || (fs::is_directory(directory) && fs::is_empty(directory)),
          "init: '", directory, "' exists and is not an empty folder; give a new one");
  auto config = read_config_file(config_file);
  validate(config);
  config.dtype = dtype;
  constexpr int64_t kOtherTokens = 14;  // Groma's new tokens before <r0>
  require(config.language.new_tokens > kOtherTokens, "init: '", config_file, "': num_new_token is ",
          config.language.new_tokens, "; at least ", kOtherTokens + 1, " are needed");
  const c10::InferenceMode no_gradients;
  const GromaModelImpl model(config);
  const auto type = dtype == "float32"   ? at::kFloat
                    : dtype == "float16" ? at::kHalf
                                         : at::kBFloat16;
  // Tensor by tensor: a full-size model need not fit into memory.
  const auto value_of = [&](const std::string& name, const at::Tensor& shape) {
    return initial_value(name, shape.sizes(), config, seed);
  };
  // The tokenizer first: it is what can still refuse the configuration.
  write_byte_tokenizer(directory, config.language.vocabulary,
                       config.language.new_tokens - kOtherTokens);
  io::save_weights(model, directory, type, io::kShardBytes, value_of);
  write_config(directory, config);
}

}  // namespace groma
