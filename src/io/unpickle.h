#pragma once

#include <map>
#include <string>
#include <string_view>

#include "io/stored_tensor.h"

namespace groma::io {

/// A tensor as a pickle describes it: a view of a storage that lies elsewhere under `key`.
struct PickledTensor {
  ElementType type = ElementType::kF32;
  std::string_view key;      ///< into the pickle's bytes
  int64_t storage_size = 0;  ///< elements
  int64_t offset = 0;        ///< elements
  std::vector<int64_t> sizes;
  std::vector<int64_t> strides;  ///< elements
};

/// Reads the pickled state dict (protocol 2) that torch.save writes.
///
/// Understands dicts with text keys, tuples, text, whole numbers and the one way in which tensors
/// are rebuilt; any other opcode or global is refused by its name, and nothing is ever executed.
/// Entries of the dict that are no tensors are left out. Memory is bounded by the pickle's length,
/// the stack by constants; every tensor lies inside the storage it names.
///
/// name      stands for the file in messages
/// throws    Error
/// source    CPython Lib/pickletools.py (opcodes), torch/_utils.py (_rebuild_tensor_v2)
std::map<std::string, PickledTensor> unpickle_state_dict(std::string_view pickle,
                                                         const std::string& name);

/// The name of a pickle opcode, "unknown" for bytes that are none.
std::string_view opcode_name(unsigned char opcode);

}  // namespace groma::io
