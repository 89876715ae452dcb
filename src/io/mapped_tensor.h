#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "io/file.h"
#include "io/stored_tensor.h"

namespace groma::io {

at::ScalarType scalar_type_of(ElementType type);

/// The element type of a tensor to be written.
///
/// throws    Error for types that no file of ours holds; `name` stands for the tensor
ElementType element_type_of(at::ScalarType type, const std::string& name);

/// A tensor whose memory is the file, which it keeps mapped; a copy where the file does not align
/// it to its element type.
///
/// throws    Error when a BOOL element is neither 0 nor 1
at::Tensor map_tensor(const std::shared_ptr<const MappedFile>& file, const StoredTensor& stored);

/// Lets the system take back the memory behind a tensor from `map_tensor`. Any other is left alone.
void release_pages(const at::Tensor& tensor);

}  // namespace groma::io
