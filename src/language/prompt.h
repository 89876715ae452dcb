#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "language/tokenizer.h"

namespace groma {

/// One question and, once there is one, its answer.
struct Turn {
  std::vector<TextPiece> question;
  std::vector<TextPiece> answer;  ///< empty for the turn that is being answered
  std::vector<int64_t> regions;   ///< number behind each <refer_box> of the question, in order
};

/// The whole conversation as text: system sentence, the turn that shows image and regions, then
/// `turns`, ending where the assistant speaks.
///
/// An answer enters without its </s> and trimmed; tokens in it that would ask for features
/// (<image>, <region>, <refer_box>, <refer_feat>) or end the prompt ([PAD]) are left out.
///
/// source    reference `conversation.py` (vicuna v1) and `run_groma.py`
std::vector<TextPiece> conversation(const std::vector<Turn>& turns);

/// More than any context holds: what is longer is refused before it is taken apart.
inline constexpr std::size_t kMostPromptBytes = 1'000'000;

/// Turns what a user typed into pieces: every "<box>" becomes
/// <roi><refer_box></roi><refer_feat> (tagged), all else is plain; `grounded` puts [grounding]
/// first.
///
/// throws    Error when `boxes` > 0, the prompt holds "<box>" and the counts differ, or when it
///           holds "<box>" and `boxes` is 0, and when it is longer than kMostPromptBytes
std::vector<TextPiece> user_question(const std::string& prompt, int64_t boxes, bool grounded);

/// Where regions and images go in the ids of a prompt.
///
/// expand_prompt replaces <image> by `image_tokens` copies of it, and <region> by the pair
/// (<rK>, <region>) for K = 0..regions-1; each <refer_box> by the <rK> of its match. The place of a
/// <refer_feat> takes the feature of the same match.
struct ExpandedPrompt {
  std::vector<int64_t> ids;  ///< placeholders <image>, <region>, <refer_feat> where features go
  std::vector<int64_t> feature_of;  ///< per id: -1 token, -2 - i for image token i, else region K
};

/// refer_matches  region behind each <refer_box>, in order; as many as there are
/// throws         Error unless there is one <image>, one <region>, a <refer_feat> for every
///                <refer_box>, and every number is below `regions`
ExpandedPrompt expand_prompt(const std::vector<int64_t>& prompt_ids, const SpecialIds& special,
                             int64_t image_tokens, int64_t regions,
                             const std::vector<int64_t>& refer_matches);

}  // namespace groma
