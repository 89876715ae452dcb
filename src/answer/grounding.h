#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "groma/groma.h"
#include "language/tokenizer.h"

namespace groma {

/// An answer taken apart: plain text and what it says about which regions.
struct GroundedText {
  std::string text;  ///< tags and <rK> removed, white space collapsed, trimmed
  std::vector<Phrase> phrases;
};

/// Reads generated ids: `<p>words</p><roi><rK>...</roi>` gives a phrase with its span in `text`;
/// regions without a phrase before them give one with an empty span where they stand.
///
/// ids       generated tokens, </s> may end them; any order of tags is survived
/// logprobs  of each id, same length
/// regions   by number; an <rK> with K >= regions.size() is dropped
GroundedText parse_answer(const Tokenizer& tokenizer, const std::vector<int64_t>& ids,
                          const std::vector<float>& logprobs, const std::vector<Region>& regions);

}  // namespace groma
