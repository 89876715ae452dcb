#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

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

/// Largest |a - b| over the elements that are finite in both; infinity where only one is finite or
/// the infinities differ, or the shapes do.
inline double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (a.sizes() != b.sizes()) return kInfinity;
  if (a.numel() == 0) return 0;
  const auto x = a.to(at::kDouble), y = b.to(at::kDouble);
  const auto same = x.eq(y);
  const auto finite = x.isfinite().logical_and(y.isfinite());
  if (!same.logical_or(finite).all().item<bool>()) return kInfinity;
  return (x - y).abs().masked_fill(same, 0).max().item<double>();
}

/// Largest finite |a|.
inline double largest_magnitude(const at::Tensor& a) {
  const auto x = a.to(at::kDouble).abs();
  return a.numel() == 0 ? 0 : x.masked_fill(x.isfinite().logical_not(), 0).max().item<double>();
}

}  // namespace groma::testing
