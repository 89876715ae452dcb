#include "io/weights.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string_view>
#include <vector>

#include "check.h"
#include "io/mapped_tensor.h"
#include "io/pickle.h"
#include "io/weight_index.h"

namespace groma::io {
namespace {

namespace fs = std::filesystem;

/// Prefixes where a checkpoint's name differs from the one our modules register. The original knows
/// the detector's heads under both names; safetensors files keep the longer one alone.
struct Rename {
  std::string_view published, registered;
};
constexpr Rename kRenames[] = {
    {"perceiver.ddetr_transformer.decoder.bbox_embed.", "perceiver.ddetr_transformer.bbox_embed."},
    {"perceiver.ddetr_transformer.decoder.class_embed_coco.",
     "perceiver.ddetr_transformer.class_embed_coco."},
    {"perceiver.ddetr_transformer.decoder.class_embed_sa1b.",
     "perceiver.ddetr_transformer.class_embed_sa1b."},
    {"perceiver.ddetr_transformer.decoder.class_embed_enc.",
     "perceiver.ddetr_transformer.class_embed_enc."},
};

/// Older transformers stored the rotary frequencies, which follow from config.json.
bool is_derived(const std::string& name) {
  return name.starts_with("llm.model.layers.") && name.ends_with(".self_attn.rotary_emb.inv_freq");
}

constexpr std::size_t kMostListed = 20;  // names of one kind in a message

/// A format's names for its files, in order of preference.
struct Format {
  const char* single;
  const char* index;
  const char* extension;
  TensorMap (*read)(const std::string& path);
};
constexpr Format kFormats[] = {
    {"model.safetensors", "model.safetensors.index.json", ".safetensors", read_safetensors},
    {"pytorch_model.bin", "pytorch_model.bin.index.json", ".bin", read_torch_archive},
};

std::string join(const std::vector<std::string>& lines) {
  std::string text;
  for (std::size_t i = 0; i < std::min(lines.size(), kMostListed); ++i) text += "\n  " + lines[i];
  if (lines.size() > kMostListed) {
    text += "\n  and " + std::to_string(lines.size() - kMostListed) + " more";
  }
  return text;
}

TensorMap read_shards(const std::string& directory, const Format& format) {
  const auto shards =
      read_weight_index((fs::path(directory) / format.index).string(), format.extension);
  std::vector<std::string> missing;
  for (const auto& [name, tensors] : shards) {
    if (!fs::exists(fs::path(directory) / name)) missing.push_back(quote(name));
  }
  require(missing.empty(), "open weights in ", quote(directory), ": ", format.index, " names ",
          shards.size(), " files, ", missing.size(),
          " of them are missing; download them:", join(missing));
  TensorMap all;
  for (const auto& [name, expected] : shards) {
    auto tensors = format.read((fs::path(directory) / name).string());
    for (const auto& tensor : expected) {
      require(tensors.count(tensor) > 0, "open weights in ", quote(directory), ": ", format.index,
              " says that ", quote(tensor), " is in ", quote(name),
              ", but it is not; take index and weights from one release");
    }
    all.merge(tensors);
    require(tensors.empty(), "open weights in ", quote(directory), ": tensor ",
            tensors.empty() ? "" : quote(tensors.begin()->first),
            " comes twice, the second time in ", quote(name), "; take all files from one release");
  }
  return all;
}

TensorMap read_files(const std::string& directory) {
  const fs::path folder(directory);
  require(fs::is_directory(folder), "open weights in ", quote(directory),
          ": there is no such folder; check the path");
  for (const auto& format : kFormats) {
    const bool single = fs::exists(folder / format.single);
    const bool index = fs::exists(folder / format.index);
    require(!(single && index), "open weights in ", quote(directory), ": found both ",
            format.single, " and ", format.index, "; remove the one that is out of date");
    if (single) return format.read((folder / format.single).string());
    if (index) return read_shards(directory, format);
  }
  require(false, "open weights in ", quote(directory), ": found none of ", kFormats[0].single, ", ",
          kFormats[0].index, ", ", kFormats[1].single, ", ", kFormats[1].index,
          "; download the checkpoint's weights");
  return {};
}

bool same_values(const at::Tensor& a, const at::Tensor& b) {
  if (a.scalar_type() != b.scalar_type() || a.sizes() != b.sizes()) return false;
  const auto x = a.contiguous();
  const auto y = b.contiguous();
  return x.data_ptr() == y.data_ptr() || std::memcmp(x.data_ptr(), y.data_ptr(), x.nbytes()) == 0;
}

std::string shape_text(at::IntArrayRef shape) {
  std::string text = "[";
  for (const auto size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

using Parameters = torch::OrderedDict<std::string, torch::Tensor>;

/// Throws one Error that lists all that keeps `tensors` from being the weights of `parameters`.
void check_match(const Parameters& parameters, const TensorMap& tensors) {
  std::vector<std::string> missing, unexpected, misshapen;
  for (const auto& parameter : parameters) {
    const auto& name = parameter.key();
    const auto found = tensors.find(name);
    if (found == tensors.end()) {
      missing.push_back(published_name(name));
      continue;
    }
    const auto& tensor = found->second;
    if (tensor.sizes() != parameter.value().sizes() || !tensor.is_floating_point()) {
      misshapen.push_back(published_name(name) + " is " + c10::toString(tensor.scalar_type()) +
                          " " + shape_text(tensor.sizes()) + ", config.json asks for " +
                          shape_text(parameter.value().sizes()) + " of a floating type");
    }
  }
  for (const auto& [name, tensor] : tensors) {
    if (!parameters.contains(name)) unexpected.push_back(quote(published_name(name)));
  }
  std::ostringstream lists;
  const auto add = [&](const char* what, const std::vector<std::string>& names) {
    if (names.empty()) return;
    lists << "\n" << names.size() << " " << what << ":" << join(names);
  };
  add("missing", missing);
  add("unexpected", unexpected);
  add("of another shape or type", misshapen);
  require(lists.str().empty(), "load weights: the tensors are not those of this model;",
          " take config.json and weights from one release", lists.str());
}

/// Splits the parameters, by published name, into files of at most `most` bytes, where one tensor
/// alone does not need more.
std::vector<TensorMap> split(const Parameters& parameters, at::ScalarType dtype, int64_t most) {
  TensorMap named;
  for (const auto& parameter : parameters) {
    named[published_name(parameter.key())] = parameter.value();
  }
  const auto width = static_cast<int64_t>(c10::elementSize(dtype));
  std::vector<TensorMap> shards(1);
  int64_t filled = 0;
  for (const auto& [name, tensor] : named) {
    const auto bytes = tensor.numel() * width;
    if (filled > 0 && bytes > most - filled) {
      shards.emplace_back();
      filled = 0;
    }
    shards.back()[name] = tensor;
    filled += bytes;
  }
  return shards;
}

std::string shard_name(std::size_t number, std::size_t count) {
  char name[64];
  std::snprintf(name, sizeof(name), "model-%05zu-of-%05zu.safetensors", number, count);
  return name;
}

bool is_shard_name(const std::string& name) {
  unsigned number = 0, count = 0;
  int end = 0;
  return std::sscanf(name.c_str(), "model-%u-of-%u.safetensors%n", &number, &count, &end) == 2 &&
         end == static_cast<int>(name.size());
}

std::string index_text(const std::vector<TensorMap>& shards, at::ScalarType dtype) {
  nlohmann::json index;
  int64_t elements = 0;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    for (const auto& [name, tensor] : shards[i]) {
      index["weight_map"][name] = shard_name(i + 1, shards.size());
      elements += tensor.numel();
    }
  }
  index["metadata"]["total_size"] = elements * static_cast<int64_t>(c10::elementSize(dtype));
  return index.dump(2) + "\n";
}

void remove_file(const fs::path& path) {
  std::error_code error;
  fs::remove(path, error);
  require(!error, "save weights: cannot remove the older file ", quote(path.string()), " (",
          error.message(), "); check the folder's permissions");
}

}  // namespace

std::string registered_name(const std::string& name) {
  for (const auto& rename : kRenames) {
    if (!name.starts_with(rename.published)) continue;
    return std::string(rename.registered) + name.substr(rename.published.size());
  }
  return name;
}

std::string published_name(const std::string& name) {
  for (const auto& rename : kRenames) {
    if (!name.starts_with(rename.registered)) continue;
    return std::string(rename.published) + name.substr(rename.registered.size());
  }
  return name;
}

void check_weights(const torch::nn::Module& module, const TensorMap& tensors) {
  check_match(module.named_parameters(), tensors);
}

TensorMap open_weights(const std::string& directory) {
  auto files = read_files(directory);
  TensorMap tensors;
  while (!files.empty()) {
    auto node = files.extract(files.begin());
    if (is_derived(node.key())) continue;
    const auto published = node.key();
    node.key() = registered_name(published);
    auto added = tensors.insert(std::move(node));
    require(added.inserted || same_values(added.position->second, added.node.mapped()),
            "open weights in ", quote(directory), ": tensor ", quote(published), " and its alias ",
            added.inserted ? "" : quote(added.position->first),
            " differ; take all files from one release");
  }
  return tensors;
}

ShapeTable shapes_of(const TensorMap& tensors) {
  ShapeTable shapes;
  for (const auto& [name, tensor] : tensors) shapes[name] = tensor.sizes().vec();
  return shapes;
}

void assign_weights(torch::nn::Module& module, TensorMap tensors, const DTypeOf& dtype_of,
                    at::Device device, const std::function<void(double)>& on_progress) {
  const at::NoGradGuard no_grad;
  auto parameters = module.named_parameters();
  check_match(parameters, tensors);

  // In the order of the files, which disks read fastest.
  std::vector<TensorMap::node_type> order;
  double total = 0, done = 0;
  while (!tensors.empty()) {
    order.push_back(tensors.extract(tensors.begin()));
    total += static_cast<double>(order.back().mapped().nbytes());
  }
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::less<const void*>()(a.mapped().data_ptr(), b.mapped().data_ptr());
  });
  for (auto& node : order) {
    auto source = std::move(node.mapped());
    const auto weight = source.to(device, dtype_of(node.key())).contiguous();
    done += static_cast<double>(source.nbytes());
    if (weight.data_ptr() != source.data_ptr()) release_pages(source);
    parameters[node.key()].set_data(weight);
    if (on_progress) on_progress(total > 0 ? done / total : 1);
  }
}

void save_weights(const torch::nn::Module& module, const std::string& directory,
                  at::ScalarType dtype, int64_t shard_bytes, const ValueOf& value_of) {
  const fs::path folder(directory);
  make_folder(directory);
  const auto shards = split(module.named_parameters(), dtype, shard_bytes);
  const bool single = shards.size() == 1;
  ValueOf value;
  if (value_of) {
    value = [&](const std::string& name, const at::Tensor& tensor) {
      return value_of(registered_name(name), tensor);
    };
  }
  std::vector<AtomicFile> files;
  std::set<std::string> names;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const auto name = single ? kFormats[0].single : shard_name(i + 1, shards.size());
    names.insert(name);
    files.emplace_back((folder / name).string());
    write_safetensors(files.back(), shards[i], {{"format", "pt"}}, dtype, value);
    files.back().sync();
  }
  // All is on the disk under temporary names. While the names change there is no index (or, with a
  // single file, nothing but that file), so that a crash can not leave old and new files mixed.
  remove_file(folder / kFormats[0].index);
  if (!single) remove_file(folder / kFormats[0].single);
  for (auto& file : files) file.commit();
  if (!single) write_file((folder / kFormats[0].index).string(), index_text(shards, dtype));
  std::vector<fs::path> stale;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const auto name = entry.path().filename().string();
    if (is_shard_name(name) && names.count(name) == 0) stale.push_back(entry.path());
  }
  for (const auto& path : stale) remove_file(path);
}

}  // namespace groma::io
