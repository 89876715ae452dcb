#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace groma {

class PieceTable;

/// A run of prompt text. Only in tagged text are the added tokens (<roi>, <r3>, </s> ...) tokens;
/// elsewhere they are plain characters. What a user types is never tagged.
struct TextPiece {
  std::string text;
  bool tagged = false;
};

/// Ids of the tokens that the conversation is made of.
struct SpecialIds {
  int64_t bos = 1, eos = 2, unk = 0, pad = -1;
  int64_t image = -1, region = -1, refer_box = -1, refer_feat = -1, grounding = -1;
  int64_t roi_begin = -1, roi_end = -1, phrase_begin = -1, phrase_end = -1;
  int64_t region_first = -1;  ///< <r0>; <rK> is region_first + K
  int64_t region_count = 0;   ///< how many <rK> there are
};

/// The slow LlamaTokenizer of transformers 4.32.0 with Groma's added tokens.
///
/// Immutable and safe from several threads.
class Tokenizer {
 public:
  /// Reads tokenizer.model, tokenizer_config.json, added_tokens.json (special_tokens_map.json).
  ///
  /// throws    Error when a file is missing, damaged or asks for what is not supported, and one
  ///           that lists all of Groma's tokens that are missing
  static Tokenizer load(const std::string& directory);

  /// Ids with <s> in front (and what else add_bos_token, add_eos_token ask for). Neighbouring
  /// pieces form one string; a token never spans two pieces. Bytes that are not UTF-8 become
  /// U+FFFD.
  ///
  /// Plain text gives ids of ordinary pieces alone, whatever it holds.
  std::vector<int64_t> encode(const std::vector<TextPiece>& pieces) const;
  std::vector<int64_t> encode_tagged(const std::string& text) const {
    return encode({{text, true}});
  }

  /// Text of ids; runs of text and added tokens are joined by one space.
  ///
  /// skip_special  leaves out <s>, </s>, <unk> and [PAD]
  /// throws        Error when an id is outside the vocabulary
  std::string decode(const std::vector<int64_t>& ids, bool skip_special = false) const;

  /// The same text as `decode(ids)` cut into pieces: added tokens tagged, words plain, so that
  /// characters that merely look like a token stay characters when the text is encoded again.
  std::vector<TextPiece> decode_pieces(const std::vector<int64_t>& ids) const;

  bool is_added(int64_t id) const;    ///< one of the tokens after the sentencepiece vocabulary
  bool is_control(int64_t id) const;  ///< <s>, </s>, <unk> or an added token
  bool is_skipped(int64_t id) const;  ///< what `decode` leaves out with `skip_special`
  int64_t vocabulary() const;         ///< sentencepiece pieces
  int64_t size() const;               ///< pieces and added tokens
  const SpecialIds& special() const;
  const PieceTable& pieces() const;  ///< internal

  struct Impl;  ///< internal

 private:
  explicit Tokenizer(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl_;
};

}  // namespace groma
