#include "answer/file_stems.h"

#include <filesystem>
#include <set>

namespace groma {

std::vector<std::string> file_stems(const std::vector<std::string>& images) {
  std::vector<std::string> names;
  std::set<std::string> taken;
  for (const auto& image : images) {
    auto path = std::filesystem::path(image).lexically_normal().replace_extension();
    if (path.is_absolute() || path.string().starts_with("..")) path = path.filename();
    const bool unfit = path.empty() || path == "." || path == ".." || path == "-";
    const auto stem = unfit ? "image" : path.string();
    auto name = stem;
    for (int copy = 2; !taken.insert(name).second; ++copy) name = stem + "-" + std::to_string(copy);
    names.push_back(name);
  }
  return names;
}

}  // namespace groma
