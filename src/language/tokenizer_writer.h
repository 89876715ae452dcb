#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace groma {

/// Writes a tokenizer that knows bytes and single characters only, for models with random weights.
///
/// Pieces: <unk>, <s>, </s>, 256 bytes, the space marker, printable ASCII, and unused ones up to
/// `vocabulary`; then Groma's 14 tokens and <r0> ... of `region_tokens`. The folder is made where
/// it is missing and gets tokenizer.model, tokenizer_config.json, special_tokens_map.json,
/// added_tokens.json and generation_config.json.
///
/// vocabulary  pieces, at least 354
/// throws      Error when a number is out of range or the system refuses to write
void write_byte_tokenizer(const std::string& directory, int64_t vocabulary, int64_t region_tokens);

/// The same files with pieces learnt from `sentences`: BPE, byte fallback, no normalisation, digits
/// apart. Where the sentences do not give enough pieces, unused ones fill up to `vocabulary`.
///
/// throws      Error also when `sentences` are empty or `vocabulary` cannot hold their characters
void write_trained_tokenizer(const std::string& directory,
                             const std::vector<std::string>& sentences, int64_t vocabulary,
                             int64_t region_tokens);

}  // namespace groma
