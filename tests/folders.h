#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace groma::testing {

/// Folder of the recorded numbers: GROMA_GOLDEN, else ../shared/golden beside the project.
inline std::filesystem::path golden_folder() {
  const char* set = std::getenv("GROMA_GOLDEN");
  if (set && *set) return set;
  return std::filesystem::path(GROMA_SOURCE_DIR).parent_path() / "shared" / "golden";
}

/// A fresh folder that is removed with the object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "groma-test-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace groma::testing
