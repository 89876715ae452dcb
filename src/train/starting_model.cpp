#include "train/starting_model.h"

#include <ATen/ATen.h>

#include <filesystem>

#include "check.h"
#include "init.h"
#include "io/file.h"
#include "io/weights.h"
#include "train/run_state.h"
#include "train/word_table.h"

namespace groma::train {
namespace {

namespace fs = std::filesystem;

bool holds_weights(const std::string& directory) {
  for (const auto& file : fs::directory_iterator(directory)) {
    const auto extension = file.path().extension();
    if (extension == ".safetensors" || extension == ".bin") return true;
  }
  return false;
}

/// A word of one piece begins with the vector that region tokens learn to point along.
void place_word_vectors(StartingModel& start) {
  const at::NoGradGuard no_gradients;
  auto& table = start.model->llm->embed_tokens->weight;
  for (const auto& group : attribute_words(World::kBoth)) {
    for (const auto& word : group) {
      const auto ids = start.tokenizer->encode({{word, false}});
      if (ids.size() == 2) table[ids[1]].copy_(word_vector(word, table.size(1)));
    }
  }
}

}  // namespace

StartingModel starting_model(const std::string& directory, const std::vector<std::string>& from,
                             uint64_t seed) {
  require(fs::is_directory(directory), "train: no folder '", directory,
          "'; --model names a checkpoint, or a folder with config.json and a tokenizer");
  StartingModel start;
  start.directory = directory;
  start.config = read_config(directory);
  const bool trained = holds_weights(directory);
  io::TensorMap tensors;
  if (trained) {
    tensors = io::open_weights(directory);
    adopt_shapes(start.config, io::shapes_of(tensors));
  }
  validate(start.config);
  start.model = GromaModel(start.config);
  if (trained) {
    io::assign_weights(
        *start.model, std::move(tensors), [](const std::string&) { return at::kFloat; }, at::kCPU);
  } else {
    initialise(*start.model, seed);
  }
  if (fs::exists(fs::path(directory) / "tokenizer.model")) {
    start.tokenizer = Tokenizer::load(directory);
    if (!trained) place_word_vectors(start);
  }
  for (const auto& state : from) load_moved_values(state, *start.model);
  return start;
}

void StartingModel::export_model(const MasterWeights& weights, const std::string& out) const {
  io::make_folder(out);
  GromaModel copy(config);
  size_t i = 0;
  for (auto& item : copy->named_parameters()) item.value().set_data(weights.result(i++));
  io::save_weights(*copy, out, at::kHalf);
  for (const auto& file : fs::directory_iterator(directory)) {
    const auto name = file.path().filename().string();
    const bool weights_file = name.find(".safetensors") != std::string::npos ||
                              name.find("pytorch_model") != std::string::npos;
    if (!file.is_regular_file() || weights_file || name == "README.md") continue;
    fs::copy_file(file.path(), fs::path(out) / name, fs::copy_options::overwrite_existing);
  }
}

}  // namespace groma::train
