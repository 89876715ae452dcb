#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "io/file.h"

namespace groma::io {

/// Tensors by name. Those read from a file are views of its memory map, which they keep alive.
using TensorMap = std::map<std::string, at::Tensor>;

/// Maps a safetensors file; nothing is copied but tensors that are not aligned to their type.
///
/// The tensors are read-only memory: writing to one ends the program.
/// throws    Error when the header or any extent is damaged (see the list in safetensors_header.h)
/// source    https://github.com/huggingface/safetensors#format
TensorMap read_safetensors(const std::string& path);

/// Reads the string-to-string entries of the header's "__metadata__".
std::map<std::string, std::string> read_safetensors_metadata(const std::string& path);

/// Writes a file whole or not at all (temporary name, then rename).
///
/// Tensors stand by falling element size, then by name; the first byte of data is aligned to 64.
/// throws    Error when a tensor's type is not one of the format's or the system refuses
void write_safetensors(const std::string& path, const TensorMap& tensors,
                       const std::map<std::string, std::string>& metadata = {});

/// Makes the contents of a tensor at the moment it is written.
using ValueOf = std::function<at::Tensor(const std::string& name, const at::Tensor& tensor)>;

/// The same into a file that the caller commits. With `dtype` each tensor is converted while it is
/// written, one at a time; with `value_of`, `tensors` give the shapes alone.
void write_safetensors(AtomicFile& file, const TensorMap& tensors,
                       const std::map<std::string, std::string>& metadata,
                       std::optional<at::ScalarType> dtype = std::nullopt,
                       const ValueOf& value_of = nullptr);

}  // namespace groma::io
