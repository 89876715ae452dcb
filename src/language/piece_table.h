#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "language/sentencepiece_model.h"

namespace groma {

/// How sentencepiece writes a space.
inline constexpr std::string_view kSpaceMarker = "\u2581";

/// The pieces of a sentencepiece vocabulary by id and by text, as decoding needs them.
class PieceTable {
 public:
  using Type = SentencePieceModel::Type;

  PieceTable() = default;
  explicit PieceTable(const SentencePieceModel& model);

  int64_t size() const { return static_cast<int64_t>(texts_.size()); }
  const std::string& text(int64_t id) const { return texts_[id]; }
  Type type(int64_t id) const { return types_[id]; }
  int64_t find(std::string_view text) const;  ///< the unknown piece where there is none
  int64_t unknown() const { return unknown_; }

 private:
  friend class RunDecoder;

  std::vector<std::string> texts_;
  std::vector<Type> types_;
  std::unordered_map<std::string, int64_t> ids_;
  int64_t unknown_ = 0;
  std::string unknown_surface_;
  bool drops_first_space_ = false;  // spaces in front of a text are an artefact of encoding
  bool drops_leading_spaces_ = false;
};

/// Turns the pieces of one run of words into text, as soon as it is certain.
///
/// source    sentencepiece `SentencePieceProcessor::Decode`
class RunDecoder {
 public:
  /// table     outlives this
  explicit RunDecoder(const PieceTable& table) : table_(&table) {}

  /// Appends to `text` what `piece` adds; the bytes of an incomplete character are kept back.
  void feed(std::string_view piece, std::string& text);

  /// Appends what was kept back, as U+FFFD for each byte, and begins a new run.
  void finish(std::string& text);

 private:
  void feed_byte(char byte, std::string& text);
  void flush_bytes(std::string& text);

  const PieceTable* table_;
  std::string bytes_;     // of a character that is not complete
  bool at_start_ = true;  // a leading space may still be dropped
  bool dropped_space_ = false;
  bool empty_ = true;  // no text yet
};

/// The same text with a space in place of every space marker.
std::string replace_space_markers(std::string_view text);

/// A piece without the space marker in front: what the first piece of a run reads as.
std::string_view without_space_marker(std::string_view piece);

}  // namespace groma
