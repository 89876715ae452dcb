#include "eval/image_finder.h"

#include <filesystem>

namespace groma::eval {
namespace {

namespace fs = std::filesystem;

constexpr std::array kRuleNames = {"as given", "without prefix", "in a COCO folder",
                                   "without its folders", "not found"};
constexpr std::array kFolders = {"train2017", "val2017", "train2014", "val2014"};

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

/// COCO_train2014_000000581857.jpg -> 000000581857.jpg; other names stay.
fs::path without_prefix(const fs::path& name) {
  const std::string file = name.filename().string();
  if (file.rfind("COCO_", 0) != 0) return name;
  const std::size_t bar = file.find('_', 5);
  return bar == std::string::npos ? name : name.parent_path() / file.substr(bar + 1);
}

}  // namespace

ImageFinder::ImageFinder(std::vector<std::string> roots) : roots_(std::move(roots)) {
  if (roots_.empty()) roots_ = {"."};
}

std::optional<std::string> ImageFinder::find(const std::string& name) {
  const fs::path given(name), bare = without_prefix(given);
  const auto found = [&](std::size_t rule, const fs::path& path) -> std::optional<std::string> {
    if (!is_file(path)) return std::nullopt;
    ++found_[rule];
    return path.string();
  };
  for (std::size_t rule = 0; rule < kRules; ++rule) {
    for (const fs::path root : roots_) {
      std::vector<fs::path> tries;
      if (rule == 0) tries = {root / given};
      if (rule == 1 && bare != given) tries = {root / bare};
      if (rule == 2) {
        for (const char* folder : kFolders) {
          tries.push_back(root / folder / given);
          if (bare != given) tries.push_back(root / folder / bare);
        }
      }
      if (rule == 3 && given.has_parent_path()) {
        tries = {root / given.parent_path().filename() / given.filename(), root / given.filename(),
                 root / bare.filename()};
      }
      for (const fs::path& path : tries) {
        if (auto hit = found(rule, path)) return hit;
      }
    }
  }
  ++found_[kRules];
  return std::nullopt;
}

std::string ImageFinder::summary() const {
  std::string out;
  for (std::size_t rule = 0; rule <= kRules; ++rule) {
    if (found_[rule] == 0) continue;
    out += (out.empty() ? "" : ", ") + std::to_string(found_[rule]) + " " + kRuleNames[rule];
  }
  return out;
}

}  // namespace groma::eval
