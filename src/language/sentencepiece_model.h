#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace groma {

/// What a tokenizer.model says that encoding and decoding need.
///
/// The sentencepiece library reads past its buffers on some crafted files. So the file is read and
/// checked here, and the library is given only what `serialize` writes anew.
///
/// source    sentencepiece `sentencepiece_model.proto`
struct SentencePieceModel {
  enum class Type {
    kNormal = 1,
    kUnknown = 2,
    kControl = 3,
    kUserDefined = 4,
    kUnused = 5,
    kByte = 6
  };
  enum class Algorithm { kUnigram = 1, kBpe = 2 };
  struct Piece {
    std::string text;
    float score = 0;
    Type type = Type::kNormal;
  };

  std::vector<Piece> pieces;  ///< by id
  Algorithm algorithm = Algorithm::kUnigram;
  bool byte_fallback = false;                ///< what no piece covers becomes its bytes
  bool whitespace_as_suffix = false;         ///< the dummy space goes to the end
  std::string unknown_surface = " \u2047 ";  ///< how the unknown piece reads
  std::string normalizer = "identity";       ///< name, for information
  std::string charsmap;                      ///< compiled rules of normalisation; empty: none
  bool add_dummy_prefix = true;              ///< text gets a space in front
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;  ///< spaces become U+2581
};

/// Reads and checks a model file.
///
/// name      stands for the file in messages
/// throws    Error when anything in it is damaged, contradictory or not supported
SentencePieceModel parse_sentencepiece(std::string_view bytes, const std::string& name);

/// Throws an Error unless the model can be used safely; `parse_sentencepiece` has done this.
void validate(const SentencePieceModel& model, const std::string& name);

/// The model as the bytes of a tokenizer.model.
std::string serialize(const SentencePieceModel& model);

/// The piece that stands for a byte: <0x00> ... <0xFF>.
std::string byte_piece(int byte);

/// The byte that a piece stands for, -1 when it stands for none.
int byte_of_piece(std::string_view piece);

}  // namespace groma
