#pragma once

#include <string>
#include <utility>
#include <vector>

#include "groma/evaluate.h"

namespace groma::eval {

/// The facts of a report in words: name and text. Lists are given by their length;
/// the bins of calibrations are left out.
std::vector<std::pair<std::string, std::string>> readable_facts(const ScoreReport& report);

}  // namespace groma::eval
