#pragma once

#include <string>
#include <vector>

#include "eval/score_protocols.h"

namespace groma::eval {

/// Writes one page: all figures, and the worst `count` errors with their pictures, the target in
/// one colour, the answer in another, the other kept boxes faint. Nothing else is needed to read
/// it.
///
/// images    roots in which pictures are found; those that are not there are left out
void write_html_report(const std::string& path, const ScoreReport& report, const Dataset& dataset,
                       std::vector<WrongAnswer> wrong, const std::vector<std::string>& images,
                       int count);

}  // namespace groma::eval
