#include "train/run_state.h"

#include <ATen/ATen.h>

#include <charconv>

#include "check.h"
#include "io/file.h"
#include "io/safetensors.h"

namespace groma::train {
namespace {

constexpr const char* kFormat = "groma-train-1";

const at::Tensor& find(const io::TensorMap& tensors, const std::string& name,
                       const at::Tensor& like, const std::string& path) {
  const auto found = tensors.find(name);
  require(found != tensors.end(), "read '", path, "': '", name,
          "' is missing; the state belongs to another model");
  require(found->second.sizes() == like.sizes() && found->second.scalar_type() == at::kFloat,
          "read '", path, "': '", name, "' is ", found->second.sizes(), ", the model has ",
          like.sizes(), "; the state belongs to another model");
  return found->second;
}

std::string entry(const std::map<std::string, std::string>& metadata, const char* key,
                  const std::string& path) {
  const auto found = metadata.find(key);
  require(found != metadata.end(), "read '", path, "': no '", key,
          "' in its metadata; this is not a training state");
  return found->second;
}

/// A whole number among the metadata.
template <typename Number>
Number number(const std::map<std::string, std::string>& metadata, const char* key,
              const std::string& path) {
  const auto text = entry(metadata, key, path);
  Number value{};
  const auto end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  require(result.ec == std::errc() && result.ptr == end, "read '", path, "': ", key, " is ",
          io::quote(text, 40), ", expected a number; the file is damaged");
  return value;
}

/// The same where states of earlier versions have no such entry.
std::string entry_or(const std::map<std::string, std::string>& metadata, const char* key,
                     const char* missing) {
  const auto found = metadata.find(key);
  return found == metadata.end() ? missing : found->second;
}

}  // namespace

void save_state(const std::string& path, const MasterWeights& weights, const RunState& state) {
  io::TensorMap tensors;
  for (const auto& entry : weights.entries) {
    tensors["value/" + entry.name] = entry.value;
    if (!entry.moves) continue;
    tensors["first/" + entry.name] = entry.first;
    tensors["second/" + entry.name] = entry.second;
    if (entry.average.defined()) tensors["average/" + entry.name] = entry.average;
  }
  io::write_safetensors(path, tensors,
                        {{"format", kFormat},
                         {"step", std::to_string(state.step)},
                         {"updates", std::to_string(weights.updates)},
                         {"seed", std::to_string(state.seed)},
                         {"threads", std::to_string(state.threads)},
                         {"lora_scale", std::to_string(weights.lora_scale)},
                         {"data", state.data},
                         {"recipe", state.recipe}});
}

RunState load_state(const std::string& path, MasterWeights& weights) {
  const auto metadata = io::read_safetensors_metadata(path);
  require(entry(metadata, "format", path) == kFormat, "read '", path, "': format '",
          entry(metadata, "format", path), "', expected ", kFormat);
  const auto tensors = io::read_safetensors(path);
  for (auto& own : weights.entries) {
    own.value.copy_(find(tensors, "value/" + own.name, own.value, path));
    if (!own.moves) continue;
    own.first.copy_(find(tensors, "first/" + own.name, own.value, path));
    own.second.copy_(find(tensors, "second/" + own.name, own.value, path));
    if (own.average.defined()) {
      own.average.copy_(find(tensors, "average/" + own.name, own.value, path));
    }
  }
  RunState state;
  state.step = number<std::int64_t>(metadata, "step", path);
  state.seed = number<std::uint64_t>(metadata, "seed", path);
  state.threads = number<int>(metadata, "threads", path);
  state.data = entry_or(metadata, "data", "");
  state.recipe = entry(metadata, "recipe", path);
  weights.updates = number<std::int64_t>(metadata, "updates", path);
  return state;
}

void load_moved_values(const std::string& path, GromaModelImpl& model) {
  const auto tensors = io::read_safetensors(path);
  const auto metadata = io::read_safetensors_metadata(path);
  const double scale =
      metadata.contains("lora_scale") ? number<double>(metadata, "lora_scale", path) : 0;
  const auto result = [&](const std::string& name, const at::Tensor* like) {
    const auto found = tensors.find("average/" + name);
    if (!like) return found == tensors.end() ? tensors.at("value/" + name) : found->second;
    return find(tensors, (found == tensors.end() ? "value/" : "average/") + name, *like, path);
  };
  for (auto& item : model.named_parameters()) {
    const bool moved = tensors.contains("first/" + item.key());
    const bool adapted = tensors.contains("first/" + adapter_name(item.key(), 'A'));
    if (!moved && !adapted) continue;
    auto value = result(item.key(), &item.value()).clone();
    if (adapted) {
      const auto down = result(adapter_name(item.key(), 'A'), nullptr);
      const auto up = result(adapter_name(item.key(), 'B'), nullptr);
      value.add_(up.matmul(down), scale);
    }
    item.value().set_data(value);
  }
}

}  // namespace groma::train
