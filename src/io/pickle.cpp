#include "io/pickle.h"

#include "io/archive_header.h"
#include "io/mapped_tensor.h"

namespace groma::io {

TensorMap read_torch_archive(const std::string& path) {
  const auto file = MappedFile::open(path);
  TensorMap tensors;
  for (const auto& [name, stored] : read_archive_header(*file)) {
    tensors[name] = map_tensor(file, stored);
  }
  return tensors;
}

}  // namespace groma::io
