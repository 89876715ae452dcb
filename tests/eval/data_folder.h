#pragma once

#include "folders.h"

namespace groma::testing {

/// Folder of real annotation files: GROMA_DATA, else ../shared/data beside the project.
inline std::filesystem::path data_folder() {
  const char* set = std::getenv("GROMA_DATA");
  if (set && *set) return set;
  return std::filesystem::path(GROMA_SOURCE_DIR).parent_path() / "shared" / "data";
}

}  // namespace groma::testing
