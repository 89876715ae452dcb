#include <algorithm>
#include <cstdlib>
#include <map>

#include "config.h"
#include "fuzz/support.h"
#include "fuzz/targets.h"
#include "io/archive_header.h"
#include "io/archives.h"
#include "io/safetensors_header.h"
#include "io/unpickle.h"
#include "io/weight_index.h"

namespace groma::fuzz {
namespace {

/// Elements from the first to the last; the shape and strides have passed the reader.
std::size_t span_of(const io::StoredTensor& stored) {
  if (io::element_count(stored.sizes) == 0) return 0;
  if (stored.strides.empty()) return static_cast<std::size_t>(*io::element_count(stored.sizes));
  std::size_t span = 1;
  for (std::size_t i = 0; i < stored.sizes.size(); ++i) {
    span += static_cast<std::size_t>((stored.sizes[i] - 1) * stored.strides[i]);
  }
  return span;
}

void check_inside(const std::map<std::string, io::StoredTensor>& tensors,
                  const io::MappedFile& file) {
  for (const auto& [name, stored] : tensors) {
    const auto bytes = span_of(stored) * io::info_of(stored.type).size;
    promise(stored.begin <= file.size() && bytes <= file.size() - stored.begin,
            "every tensor lies inside its file");
  }
}

}  // namespace

void safetensors(std::string_view input) {
  const MemoryFile memory(input);
  accepted([&] {
    const auto file = io::MappedFile::open(memory.path());
    check_inside(io::read_safetensors_header(*file).tensors, *file);
  });
}

void weight_index(std::string_view input) {
  const MemoryFile memory(input);
  accepted([&] {
    for (const auto& [name, tensors] : io::read_weight_index(memory.path(), ".safetensors")) {
      promise(name.ends_with(".safetensors") && name.find('/') == name.npos && name[0] != '.',
              "an index names files of its own folder only");
      promise(!tensors.empty(), "every file of an index has tensors");
    }
  });
}

void unpickle(std::string_view input) {
  accepted([&] {
    for (const auto& [name, tensor] : io::unpickle_state_dict(input, "fuzz")) {
      const io::StoredTensor stored{tensor.type, tensor.sizes, tensor.strides, 0};
      const auto span = static_cast<int64_t>(span_of(stored));
      promise(tensor.offset >= 0 && span <= tensor.storage_size - tensor.offset,
              "every tensor lies inside its storage");
    }
  });
}

/// An archive as it stands, or a pickle in an archive that is right in all else.
void archive(std::string_view input) {
  std::string bytes(input);
  if (input.substr(0, 2) != "PK") {
    bytes = testing::torch_archive(bytes, {{"0", std::string(64, 'x')}, {"1", "12345678"}});
  }
  const MemoryFile memory(bytes);
  accepted([&] {
    const auto file = io::MappedFile::open(memory.path());
    check_inside(io::read_archive_header(*file), *file);
  });
}

/// config.json and, after a zero byte, tensors of the checkpoint: a name and sizes a line.
void config(std::string_view input) {
  const MemoryFile memory(take_part(input, std::string_view("\0", 1)));
  ShapeTable shapes;
  while (!input.empty()) {
    auto line = take_part(input, "\n");
    auto& shape = shapes[std::string(take_part(line, " "))];
    while (!line.empty() && shape.size() < io::kMaxDimensions) {
      const std::string size(take_part(line, " "));
      shape.push_back(std::max(0LL, std::atoll(size.c_str())));
    }
  }
  accepted([&] {
    auto config = read_config_file(memory.path());
    adopt_shapes(config, shapes);
    validate(config);
    promise(config.image_tokens() > 0 && config.language.max_positions > config.image_tokens(),
            "a picture fits the context");
    promise(config.select.max_regions > 0 && config.select.max_regions < config.language.new_tokens,
            "there are tokens for all regions");
    write_config(scratch_folder(), config);
    promise(read_config(scratch_folder()) == config, "a configuration survives being written");
  });
}

}  // namespace groma::fuzz
