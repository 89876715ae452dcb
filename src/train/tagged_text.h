#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "train/worlds/questions.h"

namespace groma::train {

/// Reads text with tags, the reverse of `tagged`: "<box>" stands for the next of `objects`.
///
/// Of a user: `<p>words</p>` and `<box>`. Of the assistant: `<p>words</p><roi><box><box></roi>` and
/// `<roi><box></roi>`.
///
/// doing   begins messages, "read chat.jsonl:17: turns[0].answer"
/// throws  Error when tags do not close, the counts differ, or `check_plain` refuses the rest
Utterance parse_tagged(std::string_view text, Speaker speaker, const std::vector<int>& objects,
                       const std::string& doing);

/// throws  Error when `text` is blank, longer than any model reads, or holds what the tokenizer
///         would take for one of Groma's own tokens
void check_plain(std::string_view text, const std::string& doing);

}  // namespace groma::train
