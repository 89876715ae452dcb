#pragma once

#include <map>
#include <string>
#include <vector>

namespace groma::io {

/// Reads the index of a checkpoint in several files: the names of the tensors in each file.
///
/// extension  what the names of the files end in; they name files of the index's own folder
/// throws     Error when the index is damaged, empty or names anything else
/// source     transformers 4.32.0 `save_pretrained`: "weight_map" of model.safetensors.index.json
std::map<std::string, std::vector<std::string>> read_weight_index(const std::string& path,
                                                                  const std::string& extension);

}  // namespace groma::io
