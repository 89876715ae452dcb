#include "init.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/InferenceMode.h>

#include <cmath>
#include <numbers>

#include "check.h"
#include "io/new_folder.h"
#include "io/weights.h"
#include "language/tokenizer_writer.h"

namespace groma {
namespace {

uint64_t hash(const std::string& text, uint64_t seed) {
  uint64_t h = 14695981039346656037ull ^ seed;  // FNV-1a
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  return h;
}

bool contains(const std::string& name, const char* part) {
  return name.find(part) != std::string::npos;
}

at::Tensor xavier(at::IntArrayRef shape, at::Generator& random) {
  const auto out = static_cast<double>(shape[0]);
  double in = 1;
  for (size_t i = 1; i < shape.size(); ++i) in *= static_cast<double>(shape[i]);
  const double bound = std::sqrt(6.0 / (in + out));
  return at::empty(shape).uniform_(-bound, bound, random);
}

/// Every head looks its own way, every point one step further. Zhu et al. 2021.
at::Tensor directions(int64_t heads, int64_t levels, int64_t points) {
  auto bias = at::zeros({heads, levels, points, 2});
  auto at_bias = bias.accessor<float, 4>();
  for (int64_t h = 0; h < heads; ++h) {
    const double angle = 2 * std::numbers::pi * static_cast<double>(h) / static_cast<double>(heads);
    const double x = std::cos(angle), y = std::sin(angle);
    const double reach = std::max(std::abs(x), std::abs(y));
    for (int64_t l = 0; l < levels; ++l) {
      for (int64_t p = 0; p < points; ++p) {
        at_bias[h][l][p][0] = static_cast<float>(x / reach * static_cast<double>(p + 1));
        at_bias[h][l][p][1] = static_cast<float>(y / reach * static_cast<double>(p + 1));
      }
    }
  }
  return bias.flatten();
}

/// Sine and cosine of rows and columns, a table that already says where a patch is.
at::Tensor position_table(int64_t rows, int64_t width) {
  const auto side = static_cast<int64_t>(std::sqrt(rows - 1));
  const auto quarter = width / 4;
  const auto frequency =
      at::pow(100.0, -at::arange(quarter, at::kFloat) / static_cast<double>(quarter));
  const auto angle = at::arange(side, at::kFloat).unsqueeze(1) * frequency;  // [side, quarter]
  const auto wave = at::cat({angle.sin(), angle.cos()}, 1);                  // [side, width / 2]
  const auto y = wave.unsqueeze(1).expand({side, side, -1});
  const auto x = wave.unsqueeze(0).expand({side, side, -1});
  const auto patches = at::cat({y, x}, 2).flatten(0, 1);
  const auto rest = width - patches.size(1);
  auto table = at::constant_pad_nd(patches, {0, rest});
  return at::cat({at::zeros({1, width}), table}).unsqueeze(0) * 0.3;
}

at::Tensor bias_value(const std::string& name, at::IntArrayRef shape,
                      const ProposerConfig& config) {
  constexpr double kRare = -3;  // few queries are objects: start by saying no
  if (contains(name, "sampling_offsets")) {
    const bool encoder = contains(name, "encoder.layers");
    const auto heads = encoder ? config.encoder_heads : config.decoder_heads;
    const auto points = encoder ? config.encoder_points : config.decoder_points;
    return directions(heads, config.levels, points);
  }
  return at::full(shape, contains(name, "class_embed") ? kRare : 0.0);
}

}  // namespace

at::Tensor initial_value(const std::string& name, at::IntArrayRef shape, const ModelConfig& config,
                         uint64_t seed) {
  auto random = at::make_generator<at::CPUGeneratorImpl>(hash(name, seed));
  const auto normal = [&](double deviation) {
    return at::empty(shape).normal_(0, deviation, random);
  };
  constexpr double kEmbedding = 0.15, kSmall = 0.02;
  if (name.ends_with(".bias")) return bias_value(name, shape, config.proposer);
  if (contains(name, "layer_scale")) return at::full(shape, 0.5);
  if (contains(name, "position_embeddings") && shape.size() == 3) {
    return position_table(shape[1], shape[2]);
  }
  if (contains(name, "query_position_embeddings")) return normal(1);
  if (name.ends_with("embed_tokens.weight") || name.starts_with("new_input_embs")) {
    return normal(kEmbedding);
  }
  if (contains(name, "_token") || contains(name, "level_embed")) return normal(kSmall);
  if (shape.size() == 1) return at::ones(shape);  // the norms' weights
  if (name.starts_with("llm.") || name.starts_with("extra_lm_head")) {
    // What is added to the stream counts once a branch: Radford et al. 2019.
    const bool adds = contains(name, "o_proj") || contains(name, "down_proj");
    const auto branches = 2.0 * static_cast<double>(config.language.layers);
    const bool head = contains(name, "lm_head");
    const double wide = head ? kSmall : 1 / std::sqrt(static_cast<double>(shape[1]));
    return normal(adds ? wide / std::sqrt(branches) : wide);
  }
  if (contains(name, "sampling_offsets") || contains(name, "attention_weights")) {
    return at::zeros(shape);
  }
  if (contains(name, "bbox_embed") && name.ends_with("layers.2.weight")) return at::zeros(shape);
  return xavier(shape, random);
}

void initialise(GromaModelImpl& model, uint64_t seed) {
  const at::NoGradGuard no_gradients;
  for (auto& item : model.named_parameters()) {
    const auto value = initial_value(item.key(), item.value().sizes(), model.config, seed);
    TORCH_CHECK(value.sizes() == item.value().sizes(), "initialise: ", item.key(), " is ",
                item.value().sizes(), ", its initial value ", value.sizes());
    item.value().set_data(value.contiguous());
  }
}

void init_checkpoint(const std::string& config_file, const std::string& directory,
                     const std::string& dtype, uint64_t seed) {
  const bool known = dtype == "float32" || dtype == "bfloat16" || dtype == "float16";
  require(known, "init: dtype is '", dtype, "'; give float32, bfloat16 or float16");
  io::require_new_folder(directory, "init");
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
