#pragma once

#include <filesystem>
#include <string>

#include "check.h"

namespace groma::io {

/// Refuses a folder to write that holds something already; it need not exist.
///
/// doing     what the folder is for, as the message begins
/// throws    Error when `path` is empty, cannot be read, or is anything but a new or empty folder
///
/// In a header: the worlds, which need nothing else of this library, write folders too.
inline void require_new_folder(const std::string& path, const std::string& doing) {
  namespace fs = std::filesystem;
  require(!path.empty(), doing, ": the folder has no name; give one");
  const auto name = printable(path, /*one_line=*/true);
  std::error_code error;
  const auto status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) return;
  const bool fresh = !error && fs::is_directory(status) && fs::is_empty(path, error);
  require(!error, doing, ": cannot read '", name, "': ", error.message(),
          "; check the path and its permissions");
  require(fresh, doing, ": '", name, "' exists and is not an empty folder; give a new one");
}

}  // namespace groma::io
