#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "train/worlds/set_files.h"

namespace groma::train {

/// Counts that describe a set of scenes.
class SetStatistics {
 public:
  void add(const SceneRecord& record);

  /// Shares, counts and the blind baselines: how often the right object is met by a guess among
  /// those that fit the target's own words.
  nlohmann::ordered_json json() const;

  /// The same in a few lines for a person.
  std::string text() const;

 private:
  struct Refers {
    std::int64_t count = 0;
    double blind = 0;  ///< sum of 1 / candidates
  };

  double share(std::int64_t part, std::int64_t whole) const;
  Refers relational() const;

  std::int64_t scenes_ = 0;
  std::int64_t objects_ = 0;
  std::int64_t below_ninth_ = 0;
  std::int64_t partly_hidden_ = 0;
  std::int64_t crowded_refers_ = 0;  ///< two or more others of the target's kind
  std::int64_t all_refers_ = 0;
  std::int64_t yes_ = 0;
  std::map<std::string, std::int64_t> sizes_;
  std::map<std::string, Refers> refers_;
  std::map<std::string, std::int64_t> tasks_;
};

}  // namespace groma::train
