#include "quantize.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <filesystem>
#include <set>

#include "check.h"
#include "io/mapped_tensor.h"
#include "io/new_folder.h"
#include "io/weights.h"
#include "ops/large_pages.h"
#include "ops/quantized_linear/kernels.h"

namespace groma {
namespace {

namespace fs = std::filesystem;

constexpr const char* kInt8Scales = ".int8_scales";

/// Name of a layer's packed data in a file.
std::string data_name(const QuantizedLayer& layer) {
  return layer.name + ".weight." + name_of(layer.type);
}

std::string scales_name(const QuantizedLayer& layer) {
  return layer.name + ".weight" + kInt8Scales;
}

int64_t panels_of(const QuantizedLayer& layer) {
  return ops::panel_count(layer.layer->weight.size(0));
}

at::Tensor take(io::TensorMap& tensors, const std::string& name, at::IntArrayRef shape,
                at::ScalarType dtype) {
  const auto node = tensors.extract(name);
  require(!node.empty(), "load weights: tensor ", io::quote(name),
          " is missing; take config.json and weights from one 'groma quantize'");
  const auto& tensor = node.mapped();
  std::ostringstream found;
  found << tensor.scalar_type() << " " << tensor.sizes() << ", expected " << dtype << " " << shape;
  require(tensor.sizes() == shape && tensor.scalar_type() == dtype && tensor.is_contiguous(),
          "load weights: tensor ", io::quote(name), " is ", found.str(),
          "; take config.json and weights from one 'groma quantize'");
  return tensor;
}

ops::PackedWeight take_packed(io::TensorMap& tensors, const QuantizedLayer& layer) {
  const auto& weight = layer.layer->weight;
  ops::PackedWeight packed{layer.type, weight.size(0), weight.size(1), {}, {}};
  const auto panels = panels_of(layer);
  packed.data =
      take(tensors, data_name(layer), {panels, ops::panel_bytes(layer.type, packed.in)}, at::kByte);
  if (layer.type == ops::WeightType::kInt8) {
    packed.scales =
        take(tensors, scales_name(layer), {panels * ops::quantized::kPanel}, at::kFloat);
  }
  return packed;
}

/// The weight of a layer, still in the tensors.
const at::Tensor& source_of(const io::TensorMap& tensors, const QuantizedLayer& layer) {
  const auto found = tensors.find(layer.name + ".weight");
  require(found != tensors.end() && found->second.sizes() == layer.layer->weight.sizes() &&
              found->second.is_floating_point(),
          "load weights: tensor ", io::quote(layer.name + ".weight"),
          " is missing or of another shape or type than config.json says",
          "; take config.json and weights from one release");
  return found->second;
}

/// Files of a checkpoint beside its weights and config.json.
constexpr const char* kOtherFiles[] = {"added_tokens.json",        "generation_config.json",
                                       "preprocessor_config.json", "special_tokens_map.json",
                                       "tokenizer.model",          "tokenizer_config.json"};

void copy_other_files(const std::string& from, const std::string& to) {
  for (const char* name : kOtherFiles) {
    const auto source = fs::path(from) / name;
    if (!fs::exists(source)) continue;
    io::write_file((fs::path(to) / name).string(), io::MappedFile::open(source.string())->bytes());
  }
}

/// Tells what a quantised file holds, and makes each tensor when it is its turn to be written.
class QuantizedFile {
 public:
  QuantizedFile(GromaModelImpl& model, const io::TensorMap& sources, ops::WeightType type,
                ops::Rounding rounding)
      : sources_(sources), rounding_(rounding) {
    for (const auto& parameter : model.named_parameters()) {
      const auto& name = parameter.key();
      const auto dtype = computes_in_float(name) ? at::kFloat : at::kBFloat16;
      shapes_[io::published_name(name)] = at::zeros({1}, dtype).expand(parameter.value().sizes());
      total_ += static_cast<double>(parameter.value().numel());
    }
    for (const auto& layer : quantized_layers(model, type)) {
      shapes_.erase(layer.name + ".weight");
      const auto panels = panels_of(layer);
      shapes_[data_name(layer)] =
          at::zeros({1}, at::kByte)
              .expand({panels, ops::panel_bytes(layer.type, layer.layer->weight.size(1))});
      layers_.emplace(data_name(layer), layer);
      if (layer.type != ops::WeightType::kInt8) continue;
      shapes_[scales_name(layer)] =
          at::zeros({1}, at::kFloat).expand({panels * ops::quantized::kPanel});
      layers_.emplace(scales_name(layer), layer);
    }
  }

  const io::TensorMap& shapes() const { return shapes_; }

  at::Tensor value(const std::string& name) {
    const auto layer = layers_.find(name);
    if (layer == layers_.end()) {
      const auto& source = sources_.at(io::registered_name(name));
      done_ += static_cast<double>(source.numel());
      return source;
    }
    const auto& source = source_of(sources_, layer->second);
    // Floats are written before bytes: the scales of a layer when its bytes are not yet at hand.
    const auto packed = ops::pack(source, layer->second.type, rounding_);
    if (name.ends_with(kInt8Scales)) return packed.scales;
    done_ += static_cast<double>(source.numel());
    io::release_pages(source);
    return packed.data;
  }

  double done() const { return done_ / total_; }

 private:
  const io::TensorMap& sources_;
  ops::Rounding rounding_;
  io::TensorMap shapes_;
  std::map<std::string, QuantizedLayer> layers_;  // by the name of a tensor of theirs
  double done_ = 0, total_ = 0;
};

}  // namespace

const char* name_of(ops::WeightType type) {
  return type == ops::WeightType::kInt8 ? "int8" : "int4";
}

std::vector<QuantizedLayer> quantized_layers(GromaModelImpl& model, ops::WeightType type) {
  std::vector<QuantizedLayer> layers;
  int64_t number = 0;
  for (const auto& item : *model.llm->layers) {
    auto& layer = *item->as<LlamaLayer>();
    auto& attention = *layer.self_attn;
    const auto prefix = "llm.model.layers." + std::to_string(number++);
    for (const auto& [name, linear] : {std::pair{".self_attn.q_proj", attention.q_proj.get()},
                                       {".self_attn.k_proj", attention.k_proj.get()},
                                       {".self_attn.v_proj", attention.v_proj.get()},
                                       {".self_attn.o_proj", attention.o_proj.get()},
                                       {".mlp.gate_proj", layer.gate_proj.get()},
                                       {".mlp.up_proj", layer.up_proj.get()},
                                       {".mlp.down_proj", layer.down_proj.get()}}) {
      layers.push_back({prefix + name, linear, type});
    }
  }
  layers.push_back({"llm.lm_head", model.lm_head.get(), ops::WeightType::kInt8});
  return layers;
}

int64_t packed_bytes(const QuantizedLayer& layer) {
  int64_t panel = ops::panel_bytes(layer.type, layer.layer->weight.size(1));
  if (layer.type == ops::WeightType::kInt8) panel += ops::quantized::kPanel * int64_t{4};  // scales
  return panels_of(layer) * panel;
}

void adopt_quantized(GromaModelImpl& model, io::TensorMap& tensors, ops::WeightType type,
                     bool stored, at::TensorOptions options,
                     const std::function<void(double)>& on_progress) {
  const auto layers = quantized_layers(model, type);
  double done = 0;
  for (const auto& layer : layers) {
    ops::PackedWeight packed;
    if (stored) {
      packed = take_packed(tensors, layer);
      const auto file = packed.data;
      if (options.device().is_cpu()) packed.data = ops::copy_to_large_pages(file);
      io::release_pages(file);
    } else {
      const auto& source = source_of(tensors, layer);
      packed = ops::pack(source, layer.type);
      io::release_pages(source);
      tensors.erase(layer.name + ".weight");
    }
    packed.data = packed.data.to(options.device());
    if (packed.scales.defined()) packed.scales = packed.scales.to(options.device());
    layer.layer->adopt(std::move(packed), options);
    if (on_progress) on_progress(++done / static_cast<double>(layers.size()));
  }
}

void quantize_checkpoint(const std::string& from, ops::WeightType type, ops::Rounding rounding,
                         const std::string& to, const std::function<void(double)>& on_progress) {
  io::require_new_folder(to, "quantize");
  const c10::InferenceMode no_gradients;
  auto config = read_config(from);
  require(config.quantization == "none", "quantize: ", io::quote(from), " holds ",
          config.quantization, " weights already; give the checkpoint they were made from");
  const auto sources = io::open_weights(from);
  adopt_shapes(config, io::shapes_of(sources));
  validate(config);
  GromaModelImpl model(config);
  io::check_weights(model, sources);
  QuantizedFile content(model, sources, type, rounding);
  io::make_folder(to);
  io::AtomicFile file((fs::path(to) / "model.safetensors").string());
  const auto value_of = [&](const std::string& name, const at::Tensor&) {
    const auto value = content.value(name);
    if (on_progress) on_progress(content.done());
    return value;
  };
  io::write_safetensors(file, content.shapes(), {{"format", "pt"}}, std::nullopt, value_of);
  config.quantization = name_of(type);
  config.dtype = "bfloat16";
  write_config(to, config);
  copy_other_files(from, to);
  file.commit();
}

}  // namespace groma
