#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "eval/json_text.h"
#include "groma/evaluate.h"

namespace groma::eval {

/// What run.json says of a run.
struct RunRecord {
  /// Everything that changes results: protocol, prompts, seed, checkpoint, annotations, options,
  /// versions. Two parts of one run agree in all of it.
  Json identity = Json::object();
  int shard = 0;  ///< samples j with j mod shards == shard
  int shards = 1;
  AnnotationFile annotations;
  std::vector<std::string> images;  ///< roots
  std::string model;
  RecRule rule = RecRule::kGroma;  ///< that the run was scored by
  bool as_many_cut = true;
  std::string start, end;  ///< UTC; `end` is empty while the run goes on

  Protocol protocol() const;
  std::uint64_t seed() const;
  std::size_t limit() const;
  /// Prompts asked of every sample: 1, or all six.
  int prompts_each() const;

  Json to_json() const;
};

std::string name_of(RecRule rule);

/// throws    Error when the file is damaged or lacks a field
RunRecord read_run_record(const std::string& path);
void write_run_record(const RunRecord& record, const std::string& path);

/// First field in which two identities differ, as "seed: 0 and 1"; empty: none. `except` is left
/// out.
std::string first_difference(const Json& a, const Json& b, const std::vector<std::string>& except);

std::string utc_now();

}  // namespace groma::eval
