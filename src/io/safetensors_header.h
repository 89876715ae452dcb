#pragma once

#include <map>
#include <string>

#include "io/file.h"
#include "io/stored_tensor.h"

namespace groma::io {

struct SafetensorsHeader {
  std::map<std::string, StoredTensor> tensors;
  std::map<std::string, std::string> metadata;
};

/// Reads and checks the header of a safetensors file; the tensors' bytes are not looked at.
///
/// Refused, each by a message with file, tensor, what was found and what was expected:
/// - fewer than 8 bytes; a header longer than 100 MB or than the file; one that is not a JSON
///   object, names a tensor or a field twice, or has other fields than dtype, shape, data_offsets;
/// - a dtype that is not in kElements, a negative or fractional number, more than kMaxDimensions
///   dimensions, a shape whose product overflows;
/// - an extent that ends before it begins, leaves the file, disagrees with shape and dtype,
///   overlaps another or leaves a gap; bytes after the last tensor;
/// - metadata that is not text.
/// throws    Error
/// source    https://github.com/huggingface/safetensors#format
SafetensorsHeader read_safetensors_header(const MappedFile& file);

}  // namespace groma::io
