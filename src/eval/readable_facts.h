#pragma once

#include <string>
#include <utility>
#include <vector>

#include "groma/evaluate.h"

namespace groma::eval {

/// The facts of a report in words: name and text. Lists of objects are given by their length;
/// the bins of calibrations are left out.
std::vector<std::pair<std::string, std::string>> readable_facts(const ScoreReport& report);

/// A figure over repetitions of a run with other seeds or prompts.
struct Spread {
  std::string name;
  double mean = 0, standard_deviation = 0;
  std::size_t runs = 0;
};

/// What the fact "over_runs" says; empty where there was one run.
std::vector<Spread> spreads_of(const ScoreReport& report);

}  // namespace groma::eval
