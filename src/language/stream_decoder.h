#pragma once

#include <cstdint>
#include <string>

#include "language/piece_table.h"
#include "language/tokenizer.h"

namespace groma {

/// Turns generated ids into the text that a reader sees, one id at a time.
///
/// Added tokens are dropped, white space is collapsed to one space and trimmed. Where a token was
/// dropped, the words on its two sides are kept apart by a space, but not before closing and not
/// after opening punctuation: "<p>a dog</p><roi><r1></roi>, and" reads "a dog, and". All that
/// `feed` and `finish` returned, joined, is `GroundedText::text` of the same ids.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer);

  /// What `id` makes certain: whole characters, never a trailing space.
  ///
  /// throws    Error when `id` is outside the vocabulary
  std::string feed(int64_t id);

  /// The rest: U+FFFD for each byte of a character that never became whole.
  std::string finish();

 private:
  std::string tidy(const std::string& words);

  Tokenizer tokenizer_;
  RunDecoder run_;
  bool run_is_empty_ = true;  // the next piece begins a run
  bool space_ = false;        // white space came since the last character
  bool token_ = false;        // a token was dropped since then
  char32_t last_ = 0;         // last character, 0 before the first
};

}  // namespace groma
