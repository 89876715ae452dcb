#pragma once

#include <string>
#include <vector>

#include "groma/evaluate.h"

namespace groma::eval {

/// A caption as written with its references as annotated.
struct RawCaption {
  std::string caption;
  std::vector<std::string> references;
};

/// Tokenises unless `tokenized`, scores, and adds figures and what was used to `report`; returns
/// ROUGE-L of each caption.
std::vector<double> report_captions(const std::vector<RawCaption>& captions, bool tokenized,
                                    const JavaTools& java, ScoreReport& report);

}  // namespace groma::eval
