#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace groma::eval {

/// Splits English text as the Penn Treebank does, in lower case: "the man's hat" becomes
/// the, man, 's, hat.
///
/// Written to agree with the Stanford PTBTokenizer 3.4.1 (-preserveLines -lowerCase) on what
/// captions hold; scripts/compare_metrics.py counts the captions on which it does not.
std::vector<std::string> ptb_tokens(std::string_view text);

/// The words of a caption that count when captions are compared: the tokens without punctuation,
/// joined by single spaces.
std::string caption_words(std::string_view text);

/// Drops the 17 punctuation tokens of pycocoevalcap from a text that is tokenised already.
std::string without_punctuation(std::string_view tokenised);

}  // namespace groma::eval
