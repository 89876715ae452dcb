#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "train/worlds/questions.h"

namespace groma::train {

/// Writes an utterance piece by piece.
class Speech {
 public:
  Speech& say(std::string_view text) {
    utterance_.text += text;
    return *this;
  }

  /// Words that stand for objects, or of a user for what shall be looked for.
  Speech& mention(std::string_view words, std::vector<int> objects = {}, bool in_sequence = false) {
    const auto begin = static_cast<int>(utterance_.text.size());
    utterance_.text += words;
    const auto end = static_cast<int>(utterance_.text.size());
    utterance_.mentions.push_back({begin, end, std::move(objects), in_sequence});
    return *this;
  }

  /// Objects without words.
  Speech& regions(std::vector<int> objects) { return mention("", std::move(objects)); }

  Speech& list() {
    utterance_.is_list = true;
    return *this;
  }

  operator Utterance() const { return utterance_; }

 private:
  Utterance utterance_;
};

/// `pattern` with its "{}" replaced by `words`, which stand for `objects`.
Utterance fill(std::string_view pattern, std::string_view words, std::vector<int> objects = {});

/// `pattern` with its "{}" replaced by `words` as plain text.
std::string fill_text(std::string_view pattern, std::string_view words);

}  // namespace groma::train
