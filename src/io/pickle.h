#pragma once

#include <string>

#include "io/safetensors.h"

namespace groma::io {

/// Maps the state dict of a `torch.save` archive (zip of stored entries, format of torch >= 1.6).
///
/// A restricted reader: it knows dicts, tuples, strings, integers and the one way tensors are
/// rebuilt from storages; any other opcode or global is refused by name and nothing is executed.
/// throws    Error
TensorMap read_torch_archive(const std::string& path);

}  // namespace groma::io
