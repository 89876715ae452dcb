#pragma once

#include <map>
#include <string>

#include "io/file.h"
#include "io/stored_tensor.h"

namespace groma::io {

/// Reads where an archive of torch.save keeps its tensors; their bytes are not looked at.
///
/// throws    Error; see read_torch_archive
std::map<std::string, StoredTensor> read_archive_header(const MappedFile& file);

}  // namespace groma::io
