#include "train/run_state.h"

#include <ATen/ATen.h>

#include <charconv>

#include "check.h"
#include "io/file.h"
#include "io/safetensors.h"

namespace groma::train {
namespace {

constexpr const char* kFormat = "groma-train-1";

const at::Tensor& find(const io::TensorMap& tensors, const std::string& name, at::IntArrayRef shape,
                       const std::string& path) {
  const auto found = tensors.find(name);
  require(found != tensors.end(), "read '", path, "': '", name,
          "' is missing; the state belongs to another model");
  const auto& tensor = found->second;
  require(tensor.sizes() == shape && tensor.scalar_type() == at::kFloat, "read '", path, "': '",
          name, "' is ", tensor.scalar_type(), ' ', tensor.sizes(), ", the model has Float ", shape,
          "; the state belongs to another model");
  return tensor;
}

std::string entry(const std::map<std::string, std::string>& metadata, const char* key,
                  const std::string& path) {
  const auto found = metadata.find(key);
  require(found != metadata.end(), "read '", path, "': no '", key,
          "' in its metadata; this is not a training state");
  return found->second;
}

/// A number of at least `least` among the metadata.
template <typename Number>
Number number(const std::map<std::string, std::string>& metadata, const char* key, Number least,
              const std::string& path) {
  const auto text = entry(metadata, key, path);
  Number value{};
  const auto end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  require(result.ec == std::errc() && result.ptr == end && value >= least, "read '", path,
          "': ", key, " is ", io::quote(text, 40), ", expected a number of at least ", least,
          "; the file is damaged");
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
    own.value.copy_(find(tensors, "value/" + own.name, own.value.sizes(), path));
    if (!own.moves) continue;
    own.first.copy_(find(tensors, "first/" + own.name, own.value.sizes(), path));
    own.second.copy_(find(tensors, "second/" + own.name, own.value.sizes(), path));
    if (own.average.defined()) {
      own.average.copy_(find(tensors, "average/" + own.name, own.value.sizes(), path));
    }
  }
  RunState state;
  state.step = number<std::int64_t>(metadata, "step", 0, path);
  state.seed = number<std::uint64_t>(metadata, "seed", 0, path);
  state.threads = number<int>(metadata, "threads", 1, path);
  state.data = entry_or(metadata, "data", "");
  state.recipe = entry(metadata, "recipe", path);
  weights.updates = number<std::int64_t>(metadata, "updates", 0, path);
  return state;
}

void load_moved_values(const std::string& path, GromaModelImpl& model) {
  const auto tensors = io::read_safetensors(path);
  const auto metadata = io::read_safetensors_metadata(path);
  const double scale =
      metadata.contains("lora_scale") ? number<double>(metadata, "lora_scale", 0, path) : 0;
  const auto resulting = [&](const std::string& name) {
    return (tensors.contains("average/" + name) ? "average/" : "value/") + name;
  };
  for (auto& item : model.named_parameters()) {
    const auto sizes = item.value().sizes();
    const auto down_name = adapter_name(item.key(), 'A'), up_name = adapter_name(item.key(), 'B');
    const bool adapted = sizes.size() == 2 && tensors.contains("first/" + down_name);
    if (!adapted && !tensors.contains("first/" + item.key())) continue;
    auto value = find(tensors, resulting(item.key()), sizes, path).clone();
    if (adapted) {
      const auto rank = tensors.at("first/" + down_name).numel() / sizes[1];
      const auto& down = find(tensors, resulting(down_name), {rank, sizes[1]}, path);
      const auto& up = find(tensors, resulting(up_name), {sizes[0], rank}, path);
      value.add_(up.matmul(down), scale);
    }
    item.value().set_data(value);
  }
}

}  // namespace groma::train
