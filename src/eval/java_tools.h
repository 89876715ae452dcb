#pragma once

#include <string>
#include <vector>

#include "groma/evaluate.h"

namespace groma::eval {

/// Tokenises each text with the Stanford tokenizer and drops the punctuation.
///
/// throws    Error when Java or the jar is missing or fails
std::vector<std::string> tokenize_with_jar(const std::string& jar,
                                           const std::vector<std::string>& texts);

struct MeteorScores {
  double score = 0;
  std::vector<double> each;
};

/// METEOR 1.5 (-l en -norm) of tokenised captions.
MeteorScores meteor_with_jar(const std::string& jar, const std::vector<CaptionPair>& pairs);

}  // namespace groma::eval
