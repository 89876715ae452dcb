#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

namespace groma::io {

/// Tensors by name. Those read from a file are views of its memory map, which they keep alive.
using TensorMap = std::map<std::string, at::Tensor>;

/// Maps a safetensors file; nothing is copied but tensors that are not aligned to their type.
///
/// The tensors are read-only memory: writing to one ends the program.
/// throws    Error when the header or any extent is damaged (see the list in safetensors.cpp)
/// source    https://github.com/huggingface/safetensors#format
TensorMap read_safetensors(const std::string& path);

/// Reads the string-to-string entries of the header's "__metadata__".
std::map<std::string, std::string> read_safetensors_metadata(const std::string& path);

/// Writes a file whole or not at all (temporary name, then rename).
void write_safetensors(const std::string& path, const TensorMap& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace groma::io
