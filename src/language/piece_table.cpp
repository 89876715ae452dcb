#include "language/piece_table.h"

#include <algorithm>

#include "language/unicode.h"

namespace groma {

PieceTable::PieceTable(const SentencePieceModel& model)
    : unknown_surface_(model.unknown_surface),
      drops_first_space_(model.add_dummy_prefix || model.remove_extra_whitespaces),
      drops_leading_spaces_(model.remove_extra_whitespaces) {
  ids_.reserve(model.pieces.size());
  for (const auto& piece : model.pieces) {
    if (piece.type == Type::kUnknown) unknown_ = size();
    ids_.emplace(piece.text, size());
    texts_.push_back(piece.text);
    types_.push_back(piece.type);
  }
}

int64_t PieceTable::find(std::string_view text) const {
  const auto found = ids_.find(std::string(text));
  return found == ids_.end() ? unknown_ : found->second;
}

std::string replace_space_markers(std::string_view text) {
  std::string result;
  for (auto at = text.find(kSpaceMarker); at != text.npos; at = text.find(kSpaceMarker)) {
    result.append(text.substr(0, at)) += ' ';
    text.remove_prefix(at + kSpaceMarker.size());
  }
  return result.append(text);
}

std::string_view without_space_marker(std::string_view piece) {
  if (piece.substr(0, kSpaceMarker.size()) == kSpaceMarker) {
    piece.remove_prefix(kSpaceMarker.size());
  }
  return piece;
}

void RunDecoder::feed(std::string_view piece, std::string& text) {
  const auto id = table_->find(piece);
  const auto type = table_->type(id);
  if (type == PieceTable::Type::kByte) {
    feed_byte(static_cast<char>(byte_of_piece(piece)), text);
    return;
  }
  flush_bytes(text);
  if (dropped_space_ || !empty_) at_start_ = false;
  dropped_space_ = false;
  const auto before = text.size();
  if (type == PieceTable::Type::kUnknown) {
    // What is not in the vocabulary, say a piece that lost its space marker, stands for itself.
    text += piece == table_->text(id) ? std::string_view(table_->unknown_surface_) : piece;
  } else if (type != PieceTable::Type::kControl) {
    if (at_start_ && table_->drops_first_space_) {
      const auto rest = without_space_marker(piece);
      dropped_space_ = rest.size() < piece.size() && !table_->drops_leading_spaces_;
      piece = rest;
    }
    text += replace_space_markers(piece);
  }
  if (text.size() > before) empty_ = false;
}

void RunDecoder::feed_byte(char byte, std::string& text) {
  bytes_ += byte;
  while (!bytes_.empty() &&
         bytes_.size() >= character_length(static_cast<unsigned char>(bytes_[0]))) {
    const auto length = first_character(bytes_);
    text += length == 0 ? std::string_view("\uFFFD") : std::string_view(bytes_).substr(0, length);
    bytes_.erase(0, std::max<std::size_t>(length, 1));
    empty_ = false;
  }
}

void RunDecoder::flush_bytes(std::string& text) {
  if (!bytes_.empty()) empty_ = false;
  text += replace_invalid_utf8(bytes_);
  bytes_.clear();
}

void RunDecoder::finish(std::string& text) {
  flush_bytes(text);
  *this = RunDecoder(*table_);
}

}  // namespace groma
