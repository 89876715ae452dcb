#include "picture_cache.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "check.h"
#include "io/file.h"
#include "io/sha256.h"

namespace groma {

int64_t picture_end(const ExpandedPrompt& prompt) {
  const auto& of = prompt.feature_of;
  return of.rend() - std::find_if(of.rbegin(), of.rend(), [](int64_t f) { return f <= -2; });
}

namespace {

namespace fs = std::filesystem;

constexpr const char* kFormat = "groma picture 1";  // another number when the contents change

std::vector<int64_t> numbers(const at::Tensor& tensor) {
  const auto values = tensor.contiguous();
  return {values.const_data_ptr<int64_t>(), values.const_data_ptr<int64_t>() + values.numel()};
}

std::string map_name(size_t i) { return "map." + std::to_string(i); }
std::string layer_name(size_t i) { return "keys_and_values." + std::to_string(i); }

std::string_view bytes_of(const at::Tensor& tensor, size_t first, size_t most) {
  const auto size = tensor.nbytes();
  return {static_cast<const char*>(tensor.const_data_ptr()) + first, std::min(most, size - first)};
}

}  // namespace

PictureCache::PictureCache(std::string folder, std::string model, ModelConfig config)
    : folder_(std::move(folder)), model_(std::move(model)), config_(std::move(config)) {
  io::make_folder(folder_);
}

std::string PictureCache::key(const at::Tensor& pixels_u8) const {
  const auto pixels = pixels_u8.contiguous();
  io::Sha256 sum;
  sum.add(std::string(kFormat) + '\n' + model_ + '\n');
  sum.add(bytes_of(pixels, 0, pixels.nbytes()));
  return sum.hex();
}

std::string PictureCache::path(const std::string& key) const {
  return (fs::path(folder_) / (key + ".safetensors")).string();
}

bool PictureCache::fits(const io::TensorMap& tensors) const {
  const auto is = [&](const std::string& name, at::ScalarType type,
                      const std::vector<int64_t>& shape) {
    const auto found = tensors.find(name);
    return found != tensors.end() && found->second.scalar_type() == type &&
           found->second.sizes() == at::IntArrayRef(shape);
  };
  const auto finite = [&](const std::string& name, const std::vector<int64_t>& shape) {
    return is(name, at::kFloat, shape) && tensors.at(name).isfinite().all().item<bool>();
  };
  const auto count = [&](const std::string& name) {
    const auto found = tensors.find(name);
    return found != tensors.end() && found->second.dim() > 0 ? found->second.size(0) : -1;
  };
  const auto& language = config_.language;
  const auto regions = count("regions.tokens"), length = count("ids");
  // Features are of one type, that of the model, which is part of the key.
  const auto features =
      tensors.contains("image_tokens") ? tensors.at("image_tokens").scalar_type() : at::kFloat;
  bool good = at::isFloatingType(features) &&
              is("image_tokens", features, {config_.image_tokens(), language.hidden}) &&
              finite("proposed_boxes", {config_.proposer.queries, 4}) &&
              finite("proposed_scores", {config_.proposer.queries}) && regions > 0 &&
              regions <= config_.select.max_regions && finite("regions.boxes", {regions, 4}) &&
              finite("regions.scores", {regions}) &&
              is("regions.tokens", features, {regions, language.hidden}) && length > 0 &&
              length < language.max_positions && is("ids", at::kLong, {length}) &&
              is("feature_of", at::kLong, {length});
  for (size_t i = 0; i < config_.region.scales.size(); ++i) {
    const auto grid = static_cast<double>(config_.vision.grid());
    const auto side = std::lround(config_.region.scales[i] * grid);
    good = good && is(map_name(i), features, {1, side, side, config_.region.channels});
  }
  const auto width = language.hidden / language.heads;
  for (int64_t i = 0; i < language.layers; ++i) {
    good = good && is(layer_name(i), features, {2, language.kv_heads, length, width});
  }
  return good;
}

std::optional<KeptPicture> PictureCache::find(const std::string& key,
                                              const std::string& settings) const {
  const auto file = path(key);
  if (!fs::exists(file)) return std::nullopt;
  io::TensorMap tensors;
  std::map<std::string, std::string> metadata;
  try {
    tensors = io::read_safetensors(file);
    metadata = io::read_safetensors_metadata(file);
  } catch (const Error&) {
    return std::nullopt;  // made again, and written over
  }
  if (metadata["format"] != kFormat || metadata["key"] != key || !fits(tensors)) {
    return std::nullopt;
  }
  KeptPicture picture;
  picture.image_tokens = tensors["image_tokens"];
  for (size_t i = 0; i < config_.region.scales.size(); ++i) {
    picture.maps.push_back(tensors[map_name(i)].permute({0, 3, 1, 2}));
  }
  picture.proposed_boxes = tensors["proposed_boxes"];
  picture.proposed_scores = tensors["proposed_scores"];
  picture.prefix = {numbers(tensors["ids"]), numbers(tensors["feature_of"])};
  auto length = static_cast<int64_t>(picture.prefix.ids.size());
  if (metadata["settings"] == settings) {
    picture.regions = {tensors["regions.boxes"], tensors["regions.scores"],
                       tensors["regions.tokens"],
                       std::vector<bool>(tensors["regions.scores"].size(0), false)};
  } else {
    length = picture_end(picture.prefix);
    picture.prefix.ids.resize(length);
    picture.prefix.feature_of.resize(length);
  }
  for (int64_t i = 0; i < config_.language.layers; ++i) {
    picture.keys_and_values.push_back(tensors[layer_name(i)].narrow(2, 0, length));
  }
  return picture;
}

void PictureCache::keep(const std::string& key, const std::string& settings,
                        const KeptPicture& picture) const {
  io::TensorMap tensors;
  const auto put = [&](const std::string& name, const at::Tensor& tensor) {
    tensors[name] = tensor.to(at::kCPU).contiguous();
  };
  put("image_tokens", picture.image_tokens);
  for (size_t i = 0; i < picture.maps.size(); ++i) {
    put(map_name(i), picture.maps[i].permute({0, 2, 3, 1}));  // as they lie in memory
  }
  put("proposed_boxes", picture.proposed_boxes);
  put("proposed_scores", picture.proposed_scores);
  put("regions.boxes", picture.regions.boxes_cxcywh);
  put("regions.scores", picture.regions.scores);
  put("regions.tokens", picture.regions.tokens);
  put("ids", at::tensor(picture.prefix.ids, at::kLong));
  put("feature_of", at::tensor(picture.prefix.feature_of, at::kLong));
  for (size_t i = 0; i < picture.keys_and_values.size(); ++i) {
    put(layer_name(i), picture.keys_and_values[i]);
  }
  io::write_safetensors(path(key), tensors,
                        {{"format", kFormat}, {"key", key}, {"settings", settings}});
}

std::string model_fingerprint(const std::string& directory, const io::TensorMap& tensors,
                              const std::string& compute) {
  constexpr size_t kSample = 4096;  // bytes of each tensor's beginning, middle and end
  io::Sha256 sum;
  sum.add(compute + '\n');
  std::vector<fs::directory_entry> files;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.is_regular_file()) files.push_back(entry);
  }
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    const auto time = file.last_write_time().time_since_epoch().count();
    sum.add(file.path().filename().string() + ' ' + std::to_string(file.file_size()) + ' ' +
            std::to_string(time) + '\n');
  }
  for (const auto& [name, tensor] : tensors) {
    std::ostringstream line;
    line << name << ' ' << tensor.scalar_type() << ' ' << tensor.sizes() << '\n';
    sum.add(line.str());
    if (!tensor.is_contiguous()) continue;  // such come from .bin files, whose times are above
    const auto size = tensor.nbytes();
    for (const auto first : {size_t{0}, size / 2, size - std::min(size, kSample)}) {
      sum.add(bytes_of(tensor, first, kSample));
    }
  }
  return sum.hex();
}

}  // namespace groma
