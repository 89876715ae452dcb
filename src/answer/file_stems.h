#pragma once

#include <string>
#include <vector>

namespace groma {

/// For every image a name, without extension, for files that belong to it: "a/b.jpg" -> "a/b". All
/// are different; a path that would lead out of the folder keeps its last part alone.
std::vector<std::string> file_stems(const std::vector<std::string>& images);

}  // namespace groma
