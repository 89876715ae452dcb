#include "language/sentencepiece_model.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <unordered_set>

#include "check.h"
#include "io/file.h"
#include "language/charsmap.h"
#include "language/unicode.h"

namespace groma {
namespace {

using Type = SentencePieceModel::Type;
using Algorithm = SentencePieceModel::Algorithm;

constexpr std::size_t kMostPieces = 1'000'000;
constexpr std::size_t kLongestPiece = 256;      // bytes
constexpr std::size_t kMostNestedSymbols = 64;  // the library keeps that many matches
constexpr const char* kReplaceFile = "; the file is damaged, copy it again";

enum class Wire { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct Field {
  std::uint64_t number = 0;
  Wire wire = Wire::kVarint;
  std::uint64_t value = 0;  // of varints and fixed fields
  std::string_view bytes;   // of kBytes
};

/// Walks over the fields of one protocol buffer message.
class MessageReader {
 public:
  MessageReader(std::string_view data, const std::string& name) : data_(data), name_(name) {}

  bool next(Field& field) {
    if (data_.empty()) return false;
    const auto tag = varint();
    field = {tag >> 3, static_cast<Wire>(tag & 7), 0, {}};
    require(field.number > 0 && field.number < (1u << 29), "read ", name_, ": field number ",
            field.number, " in the protocol buffer", kReplaceFile);
    switch (field.wire) {
      case Wire::kVarint:
        field.value = varint();
        break;
      case Wire::kFixed64:
        field.value = fixed(8);
        break;
      case Wire::kFixed32:
        field.value = fixed(4);
        break;
      case Wire::kBytes:
        field.bytes = take(varint());
        break;
      default:
        require(false, "read ", name_, ": field ", field.number, " has wire type ", tag & 7,
                kReplaceFile);
    }
    return true;
  }

 private:
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    require(false, "read ", name_, ": a number of more than ten bytes", kReplaceFile);
    return 0;
  }

  std::uint64_t fixed(std::size_t size) {
    std::uint64_t value = 0;
    const auto bytes = take(size);
    for (std::size_t i = size; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
    return value;
  }

  std::string_view take(std::uint64_t count) {
    require(count <= data_.size(), "read ", name_, ": ", count, " bytes are announced, ",
            data_.size(), " are left", kReplaceFile);
    const auto bytes = data_.substr(0, count);
    data_.remove_prefix(count);
    return bytes;
  }

  std::string_view data_;
  const std::string& name_;
};

/// Takes a field's value after checking that it is of the declared kind.
class FieldValue {
 public:
  FieldValue(const Field& field, const std::string& name) : field_(field), name_(name) {}

  bool flag() const { return expect(Wire::kVarint).value != 0; }
  std::uint64_t number() const { return expect(Wire::kVarint).value; }
  std::string_view bytes() const { return expect(Wire::kBytes).bytes; }
  float real() const {
    return std::bit_cast<float>(static_cast<std::uint32_t>(expect(Wire::kFixed32).value));
  }
  std::string text() const {
    require(valid_utf8(bytes()), "read ", name_, ": field ", field_.number, " is not UTF-8",
            kReplaceFile);
    return std::string(bytes());
  }

 private:
  const Field& expect(Wire wire) const {
    require(field_.wire == wire, "read ", name_, ": field ", field_.number, " has wire type ",
            static_cast<int>(field_.wire), ", expected ", static_cast<int>(wire), kReplaceFile);
    return field_;
  }

  const Field& field_;
  const std::string& name_;
};

SentencePieceModel::Piece read_piece(std::string_view bytes, const std::string& name) {
  SentencePieceModel::Piece piece;
  MessageReader reader(bytes, name);
  for (Field field; reader.next(field);) {
    const FieldValue value(field, name);
    if (field.number == 1) piece.text = value.text();
    if (field.number == 2) piece.score = value.real();
    if (field.number == 3) {
      require(value.number() >= 1 && value.number() <= 6, "read ", name, ": piece ",
              io::quote(piece.text), " has type ", value.number(), ", expected 1 to 6",
              kReplaceFile);
      piece.type = static_cast<Type>(value.number());
    }
  }
  return piece;
}

void read_trainer(std::string_view bytes, SentencePieceModel& model, const std::string& name) {
  MessageReader reader(bytes, name);
  for (Field field; reader.next(field);) {
    const FieldValue value(field, name);
    if (field.number == 3) {
      require(value.number() == 1 || value.number() == 2, "read ", name, ": model type ",
              value.number(), ", supported are 1 (unigram) and 2 (BPE); use another tokenizer");
      model.algorithm = static_cast<Algorithm>(value.number());
    }
    if (field.number == 24) model.whitespace_as_suffix = value.flag();
    if (field.number == 35) model.byte_fallback = value.flag();
    if (field.number == 44) model.unknown_surface = value.text();
  }
}

void read_normalizer(std::string_view bytes, SentencePieceModel& model, const std::string& name) {
  MessageReader reader(bytes, name);
  for (Field field; reader.next(field);) {
    const FieldValue value(field, name);
    if (field.number == 1) model.normalizer = value.text();
    if (field.number == 2) model.charsmap = std::string(value.bytes());
    if (field.number == 3) model.add_dummy_prefix = value.flag();
    if (field.number == 4) model.remove_extra_whitespaces = value.flag();
    if (field.number == 5) model.escape_whitespaces = value.flag();
  }
}

void refuse_denormalizer(std::string_view bytes, const std::string& name) {
  MessageReader reader(bytes, name);
  for (Field field; reader.next(field);) {
    require(field.number != 2 || field.bytes.empty(), "read ", name,
            ": it rewrites decoded text (denormalizer_spec), which is not supported; use a "
            "tokenizer without");
  }
}

void validate_piece(const SentencePieceModel::Piece& piece, std::size_t id, bool byte_fallback,
                    const std::string& name) {
  const auto where = "piece " + std::to_string(id) + " " + io::quote(piece.text, 40);
  require(!piece.text.empty() && piece.text.size() <= kLongestPiece, "read ", name, ": ", where,
          " has ", piece.text.size(), " bytes, expected 1 to ", kLongestPiece, kReplaceFile);
  require(piece.text.find('\0') == std::string::npos && valid_utf8(piece.text), "read ", name, ": ",
          where, " is not text", kReplaceFile);
  require(std::isfinite(piece.score), "read ", name, ": the score of ", where, " is not a number",
          kReplaceFile);
  const bool is_byte = piece.type == Type::kByte;
  require(!is_byte || (byte_fallback && byte_of_piece(piece.text) >= 0), "read ", name, ": ", where,
          byte_fallback ? " does not name a byte" : " stands for a byte without byte_fallback",
          kReplaceFile);
  // A symbol of one character would be found in plain text.
  const bool reserved = is_byte || piece.type == Type::kControl || piece.type == Type::kUnknown;
  require(!reserved || first_character(piece.text) < piece.text.size(), "read ", name, ": ", where,
          " is a control symbol of one character; use another tokenizer");
}

/// The library matches user-defined symbols with room for so many that begin alike.
void validate_nesting(const SentencePieceModel& model, const std::string& name) {
  std::vector<std::string_view> symbols, open;
  for (const auto& piece : model.pieces) {
    if (piece.type == Type::kUserDefined) symbols.push_back(piece.text);
  }
  std::sort(symbols.begin(), symbols.end());
  for (const auto symbol : symbols) {
    while (!open.empty() && symbol.substr(0, open.back().size()) != open.back()) open.pop_back();
    open.push_back(symbol);
    require(open.size() <= kMostNestedSymbols, "read ", name, ": more than ", kMostNestedSymbols,
            " user-defined symbols begin with one another; use another tokenizer");
  }
}

void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

void put_number(std::string& out, int field, std::uint64_t value) {
  put_varint(out, static_cast<std::uint64_t>(field) << 3);
  put_varint(out, value);
}

void put_bytes(std::string& out, int field, std::string_view bytes) {
  put_varint(out, static_cast<std::uint64_t>(field) << 3 | 2);
  put_varint(out, bytes.size());
  out += bytes;
}

}  // namespace

std::string byte_piece(int byte) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  return {'<', '0', 'x', kDigits[byte >> 4 & 15], kDigits[byte & 15], '>'};
}

int byte_of_piece(std::string_view piece) {
  if (piece.size() != 6) return -1;
  const auto digit = [&](std::size_t i) {
    if (piece[i] >= '0' && piece[i] <= '9') return piece[i] - '0';
    return piece[i] >= 'A' && piece[i] <= 'F' ? piece[i] - 'A' + 10 : 0;
  };
  const int byte = digit(3) * 16 + digit(4);
  return byte_piece(byte) == piece ? byte : -1;
}

SentencePieceModel parse_sentencepiece(std::string_view bytes, const std::string& name) {
  SentencePieceModel model;
  MessageReader reader(bytes, name);
  for (Field field; reader.next(field);) {
    const FieldValue value(field, name);
    if (field.number == 1) {
      require(model.pieces.size() < kMostPieces, "read ", name, ": more than ", kMostPieces,
              " pieces; use another tokenizer");
      model.pieces.push_back(read_piece(value.bytes(), name));
    }
    if (field.number == 2) read_trainer(value.bytes(), model, name);
    if (field.number == 3) read_normalizer(value.bytes(), model, name);
    if (field.number == 5) refuse_denormalizer(value.bytes(), name);
  }
  validate(model, name);
  return model;
}

void validate(const SentencePieceModel& model, const std::string& name) {
  std::unordered_set<std::string_view> seen;
  std::size_t unknowns = 0, bytes = 0, words = 0;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    const auto& piece = model.pieces[id];
    validate_piece(piece, id, model.byte_fallback, name);
    require(seen.insert(piece.text).second, "read ", name, ": piece ", io::quote(piece.text, 40),
            " stands twice", kReplaceFile);
    unknowns += piece.type == Type::kUnknown;
    bytes += piece.type == Type::kByte;
    words += piece.type == Type::kNormal;
  }
  require(words > 0, "read ", name, ": it holds no pieces of text", kReplaceFile);
  require(unknowns == 1, "read ", name, ": ", unknowns, " unknown pieces, expected one",
          kReplaceFile);
  require(!model.byte_fallback || bytes == 256, "read ", name, ": byte_fallback with ", bytes,
          " byte pieces, expected 256", kReplaceFile);
  validate_nesting(model, name);
  if (!model.charsmap.empty()) validate_charsmap(model.charsmap, name);
}

std::string serialize(const SentencePieceModel& model) {
  std::string out;
  for (const auto& piece : model.pieces) {
    std::string message;
    put_bytes(message, 1, piece.text);
    put_varint(message, 2 << 3 | 5);
    const auto score = std::bit_cast<std::uint32_t>(piece.score);
    for (int shift = 0; shift < 32; shift += 8) message += static_cast<char>(score >> shift);
    put_number(message, 3, static_cast<std::uint64_t>(piece.type));
    put_bytes(out, 1, message);
  }
  std::string trainer;
  put_number(trainer, 3, static_cast<std::uint64_t>(model.algorithm));
  put_number(trainer, 4, model.pieces.size());
  put_number(trainer, 24, model.whitespace_as_suffix);
  put_number(trainer, 35, model.byte_fallback);
  put_bytes(trainer, 44, model.unknown_surface);
  put_bytes(out, 2, trainer);
  std::string normalizer;
  put_bytes(normalizer, 1, model.normalizer);
  put_bytes(normalizer, 2, model.charsmap);
  put_number(normalizer, 3, model.add_dummy_prefix);
  put_number(normalizer, 4, model.remove_extra_whitespaces);
  put_number(normalizer, 5, model.escape_whitespaces);
  put_bytes(out, 3, normalizer);
  return out;
}

}  // namespace groma
