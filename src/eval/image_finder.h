#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace groma::eval {

/// Finds the pictures that annotation files name, wherever users keep COCO.
///
/// Tried in this order under each root: the name as given; without a COCO_<set>_ prefix; both under
/// train2017/, val2017/, train2014/, val2014/; the name without all its folders but the last, as
/// Objects365 is unpacked; without any, for flat folders.
class ImageFinder {
 public:
  explicit ImageFinder(std::vector<std::string> roots);

  /// Path of the picture; nothing when no rule finds it.
  std::optional<std::string> find(const std::string& name);

  /// "812 as given, 40 without prefix, 3 not found"; counts each call.
  std::string summary() const;

 private:
  static constexpr std::size_t kRules = 4;
  std::vector<std::string> roots_;
  std::array<std::size_t, kRules + 1> found_{};
};

}  // namespace groma::eval
