#pragma once

#include <string>
#include <vector>

#include "language/sentencepiece_model.h"

namespace groma {

/// A token with a role: <s>, </s>, <unk>, [PAD] and the like.
struct RoleToken {
  std::string role;  ///< "bos_token", "eos_token", "unk_token", "pad_token" ...
  std::string text;
  /// White space beside it goes, as it does beside every token that is named by its text alone.
  bool strips_left = true;
  bool strips_right = true;
  bool described = false;  ///< the file says how it strips, which outweighs other mentions
};

/// What the files of a slow LlamaTokenizer say.
///
/// source    transformers 4.32.0 `PreTrainedTokenizerBase._from_pretrained`
struct TokenizerFiles {
  SentencePieceModel model;
  std::vector<std::string> added;  ///< ids follow the pieces of `model`
  std::vector<RoleToken> roles;
  bool legacy = true;
  bool add_bos = true;
  bool add_eos = false;
};

/// Reads tokenizer.model and, where they are, tokenizer_config.json, special_tokens_map.json and
/// added_tokens.json. Tokens with a role that the vocabulary lacks are added at its end.
///
/// throws    Error when a file is missing, damaged or asks for what is not supported
TokenizerFiles read_tokenizer_files(const std::string& directory);

}  // namespace groma
