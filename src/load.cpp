#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <thread>

#include "check.h"
#include "engine.h"
#include "io/weights.h"
#include "quantize.h"
#include "torch_device.h"

namespace groma {
namespace {

constexpr int kMostThreads = 4096;

const char* name_of(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return "float32";
    case at::kBFloat16:
      return "bfloat16";
    case at::kHalf:
      return "float16";
    default:
      return "other";
  }
}

/// The dtype that most of the weights have.
at::ScalarType main_dtype(const io::TensorMap& tensors) {
  std::map<at::ScalarType, int64_t> elements;
  for (const auto& [name, tensor] : tensors) {
    if (tensor.is_floating_point()) elements[tensor.scalar_type()] += tensor.numel();
  }
  const auto most = std::max_element(elements.begin(), elements.end(),
                                     [](auto& a, auto& b) { return a.second < b.second; });
  return most == elements.end() ? at::kFloat : most->first;
}

at::ScalarType compute_dtype(DType asked, Device device, at::ScalarType file) {
  require(asked != DType::kFloat16 || device == Device::kCuda,
          "load: float16 is computed on cuda only; use bfloat16 or float32 on the cpu");
  switch (asked) {
    case DType::kFloat32:
      return at::kFloat;
    case DType::kBFloat16:
      return at::kBFloat16;
    case DType::kFloat16:
      return at::kHalf;
    case DType::kInt8:
    case DType::kInt4:
      return at::kBFloat16;  // all but the weights that are quantised
    case DType::kAuto:
      break;
  }
  return file == at::kHalf || file == at::kBFloat16 ? at::kBFloat16 : at::kFloat;
}

/// How the language model's weights are kept: as they are, or quantised because they are so in the
/// files or because it was asked for.
std::optional<ops::WeightType> weight_type(DType asked, const std::string& stored,
                                           const std::string& directory) {
  const bool any = asked == DType::kAuto;
  const bool int8 = asked == DType::kInt8, int4 = asked == DType::kInt4;
  require(stored == "none" || any || (stored == "int8" && int8) || (stored == "int4" && int4),
          "load '", directory, "': the weights are ", stored, ", which is what they can be used as",
          "; give no dtype, or the checkpoint that they were made from");
  if (int8 || stored == "int8") return ops::WeightType::kInt8;
  if (int4 || stored == "int4") return ops::WeightType::kInt4;
  return std::nullopt;
}

ModelInfo::Stage stage_of(const GromaModelImpl& model, const std::string& name,
                          const std::vector<std::string>& prefixes) {
  ModelInfo::Stage stage{.name = name};
  for (const auto& item : model.named_parameters()) {
    for (const auto& prefix : prefixes) {
      if (!item.key().starts_with(prefix)) continue;
      stage.parameters += item.value().numel();
    }
  }
  return stage;
}

/// Memory of the weights where those that do not stay in float32 are `dtype`, or packed.
int64_t weight_bytes(GromaModelImpl& model, at::ScalarType dtype,
                     std::optional<ops::WeightType> packed = std::nullopt) {
  const auto width = static_cast<int64_t>(c10::elementSize(dtype));
  int64_t bytes = 0;
  for (const auto& item : model.named_parameters()) {
    bytes += item.value().numel() * (computes_in_float(item.key()) ? 4 : width);
  }
  if (!packed) return bytes;
  for (const auto& layer : quantized_layers(model, *packed)) {
    bytes += packed_bytes(layer) - layer.layer->weight.numel() * width;
  }
  return bytes;
}

ModelInfo info_of(GromaModelImpl& model, at::ScalarType file, at::ScalarType compute) {
  const auto& config = model.config;
  ModelInfo info;
  info.stages = {
      stage_of(model, "vision encoder", {"perceiver.vis_encoder."}),
      stage_of(model, "proposer", {"perceiver.input_proj.", "perceiver.ddetr_transformer."}),
      stage_of(model, "region encoder", {"region_encoder."}),
      stage_of(model, "projector", {"img_txt_bridge."}),
      stage_of(model, "language model", {"llm.", "extra_lm_head.", "new_input_embs."})};
  for (const auto& stage : info.stages) info.parameters += stage.parameters;
  info.file_dtype = name_of(file);
  info.compute_dtype = name_of(compute);
  if (config.quantization == "none") {
    info.memory["fp32"] = weight_bytes(model, at::kFloat);
    info.memory["bf16"] = weight_bytes(model, at::kBFloat16);
  }
  for (const auto type : {ops::WeightType::kInt8, ops::WeightType::kInt4}) {
    if (config.quantization != "none" && config.quantization != groma::name_of(type)) continue;
    info.memory[groma::name_of(type)] = weight_bytes(model, at::kBFloat16, type);
  }
  info.image_size = static_cast<int>(config.vision.image_size);
  info.image_tokens = static_cast<int>(config.image_tokens());
  info.queries = static_cast<int>(config.proposer.queries);
  info.region_tokens = static_cast<int>(config.select.max_regions);
  info.context = static_cast<int>(config.language.max_positions);
  info.roi_geometry = config.region.geometry == RoiGeometry::kReleased ? "released" : "exact";
  return info;
}

/// Bytes of memory that can be had, from /proc/meminfo; -1 where that cannot be read.
int64_t available_memory() {
  std::ifstream in("/proc/meminfo");
  std::string key, unit;
  int64_t kilobytes = 0;
  while (in >> key >> kilobytes >> unit) {
    if (key == "MemAvailable:") return kilobytes * 1024;
  }
  return -1;
}

/// Refuses a model that would not fit, before anything is loaded.
void require_memory(const ModelInfo& info, at::ScalarType dtype,
                    std::optional<ops::WeightType> quantized) {
  constexpr double kGiB = 1024.0 * 1024 * 1024;
  constexpr double kWork = 1.0;  // GiB for activations
  const auto language = static_cast<double>(info.stages.back().parameters);
  // Bytes that a quantised number saves, about.
  constexpr double kSavedInt8 = 0.9, kSavedInt4 = 1.35;
  const auto gib = [&](int64_t width, double saved) {
    return (static_cast<double>(info.parameters * width) - saved * language) / kGiB + kWork;
  };
  const auto available = available_memory();
  if (available < 0) return;
  const auto free = static_cast<double>(available) / kGiB;
  const double saved = !quantized                             ? 0
                       : *quantized == ops::WeightType::kInt8 ? kSavedInt8
                                                              : kSavedInt4;
  const auto needed = gib(static_cast<int64_t>(c10::elementSize(dtype)), saved);
  const char* advice = "; use a machine with more memory";
  if (gib(2, kSavedInt4) <= free) advice = "; dtype int4 would fit";
  if (gib(2, kSavedInt8) <= free) advice = "; dtype int8 would fit";
  if (gib(2, 0) <= free) advice = "; dtype bfloat16 would fit";
  require(needed <= free, "load: not enough memory: ", info.parameters, " parameters in ",
          name_of(dtype), " need ", needed, " GiB, ", free, " GiB are available", advice);
}

}  // namespace

at::Device torch_device(Device device, const char* doing) {
  if (device == Device::kCpu) return at::kCPU;
  require(at::hasCUDA(), doing,
          ": device cuda: no CUDA device can be used; choose device cpu, or use a CUDA build of "
          "groma (GROMA_CUDA=ON) on a machine with an NVIDIA driver");
  return at::kCUDA;
}

std::shared_ptr<const Groma::Impl> load_engine(const std::string& directory,
                                               const LoadOptions& options) {
  require(options.threads >= 0 && options.threads <= kMostThreads, "load: threads is ",
          options.threads, "; give 0 (all) to ", kMostThreads);
  const auto device = torch_device(options.device, "load");
  auto config = read_config(directory);
  auto tokenizer = Tokenizer::load(directory);
  const c10::InferenceMode
      no_gradients;  // of the files' tensors too: a parameter becomes its tensor
  auto tensors = io::open_weights(directory);
  adopt_shapes(config, io::shapes_of(tensors));
  validate(config);
  const auto& language = config.language;
  require(tokenizer.vocabulary() == language.vocabulary, "load '", directory,
          "': tokenizer.model has ", tokenizer.vocabulary(), " pieces, the language model ",
          language.vocabulary, "; take both from one release");
  const auto& special = tokenizer.special();
  require(special.region_first + special.region_count <= language.vocabulary + language.new_tokens,
          "load '", directory, "': the added tokens go up to id ",
          special.region_first + special.region_count - 1, ", the weights have room for ",
          language.vocabulary + language.new_tokens, " tokens; take both from one release");
  config.select.max_regions = std::min(config.select.max_regions, special.region_count);

  const auto file = main_dtype(tensors);
  const auto dtype = compute_dtype(options.dtype, options.device, file);
  const auto quantized = weight_type(options.dtype, config.quantization, directory);
  auto model = std::make_shared<GromaModelImpl>(config);
  auto info = info_of(*model, file, dtype);
  if (quantized) info.compute_dtype = name_of(*quantized);
  if (options.device == Device::kCpu) require_memory(info, dtype, quantized);
  std::optional<PictureCache> pictures;
  if (!options.cache.empty()) {
    const auto compute = info.compute_dtype + (device.is_cuda() ? " cuda" : " cpu");
    pictures.emplace(options.cache, model_fingerprint(directory, tensors, compute), config);
  }
  const auto dtype_of = [dtype](const std::string& name) {
    return computes_in_float(name) ? at::kFloat : dtype;
  };
  if (quantized) {
    adopt_quantized(*model, tensors, *quantized, config.quantization != "none",
                    at::TensorOptions(device).dtype(dtype), options.on_progress);
  }
  io::assign_weights(*model, std::move(tensors), dtype_of, device, options.on_progress);
  const auto threads =
      options.threads > 0 ? options.threads : static_cast<int>(std::thread::hardware_concurrency());
  return std::make_shared<const Groma::Impl>(Groma::Impl{
      std::move(model), std::move(tokenizer), read_pixel_norm(directory, config.vision.image_size),
      device, threads, info, std::move(pictures)});
}

ModelInfo describe(const std::string& directory) {
  auto config = read_config(directory);
  const auto tensors = io::open_weights(directory);
  adopt_shapes(config, io::shapes_of(tensors));
  validate(config);
  const auto file = main_dtype(tensors);
  GromaModelImpl model(config);
  auto info = info_of(model, file, compute_dtype(DType::kAuto, Device::kCpu, file));
  if (config.quantization != "none") info.file_dtype = info.compute_dtype = config.quantization;
  return info;
}

}  // namespace groma
