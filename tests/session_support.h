#pragma once

#include <string>

#include "folders.h"
#include "groma/groma.h"
#include "init.h"

namespace groma::testing {

inline constexpr const char* kTinyConfig = GROMA_SOURCE_DIR "/tests/data/tiny_config.json";

/// A random model of a few hundred thousand parameters.
inline Groma random_model(const std::string& config, const TemporaryFolder& folder) {
  const auto directory = (folder.path() / "model").string();
  init_checkpoint(config, directory, "float32", /*seed=*/3);
  return Groma::load(directory);
}

inline Image picture() { return Image::open(GROMA_SOURCE_DIR "/tests/data/photo.jpg"); }

/// Random scores lie near 0.01: everything passes.
inline RegionOptions all_regions() {
  RegionOptions options;
  options.box_score = 0;
  return options;
}

inline ChatOptions brief() {
  ChatOptions options;
  options.max_new_tokens = 6;
  return options;
}

}  // namespace groma::testing
