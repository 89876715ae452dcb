#include "language/tokenizer.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <array>
#include <functional>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "check.h"
#include "io/file.h"
#include "language/piece_table.h"
#include "language/tokenizer_files.h"
#include "language/unicode.h"

namespace groma {
namespace {

/// A token that is found in tagged text, and whether it takes the white space beside it along.
struct NoSplitToken {
  int64_t id = -1;
  bool strips_left = true;
  bool strips_right = true;
};

using TokenMap = std::unordered_map<std::string, NoSplitToken>;

/// A stretch of text between tokens, or a token.
struct Segment {
  std::string text;
  const NoSplitToken* token = nullptr;
};

}  // namespace

struct Tokenizer::Impl {
  sentencepiece::SentencePieceProcessor processor;
  PieceTable pieces;
  std::vector<std::string> added;  // by id, after the pieces
  TokenMap tokens;
  std::set<std::size_t, std::greater<>> token_lengths;  // bytes, longest first
  std::array<bool, 256> begins_token = {};              // by first byte
  std::unordered_set<std::string> special_texts;        // of every token with a role
  std::unordered_set<int64_t> special_ids;
  std::size_t unknown_length = 0;  // pieces of the text "<unk>"
  std::string unknown_text;
  std::vector<int64_t> beginning;  // of a text outside legacy mode: the space marker; else empty
  bool legacy = true, add_bos = true, add_eos = false;
  SpecialIds special;

  void load_model(SentencePieceModel model, const std::string& directory);
  void set_tokens(const TokenizerFiles& files);
  void set_roles(const TokenizerFiles& files, const std::string& directory);
  void set_groma_tokens(const std::string& directory);
  int64_t find_token(const std::string& text) const;  // -1 where there is none
  std::string region_text() const { return "<r" + std::to_string(special.region_count) + ">"; }

  const TokenMap::value_type* token_at(std::string_view text) const;
  void split(std::string_view tagged, std::vector<Segment>& segments) const;
  std::vector<Segment> segments_of(const std::vector<TextPiece>& pieces) const;
  void strip_beside_tokens(std::vector<Segment>& segments) const;
  std::vector<int> encode_text(const std::string& text) const;

  std::vector<TextPiece> decode(const std::vector<int64_t>& ids, bool skip_special) const;
  void decode_run(const std::vector<int64_t>& ids, std::vector<TextPiece>& out) const;
};

namespace {

void append_plain(std::vector<TextPiece>& pieces, std::string_view text) {
  if (text.empty()) return;
  if (pieces.empty() || pieces.back().tagged) pieces.push_back({});
  pieces.back().text += text;
}

void append_text(std::vector<Segment>& segments, std::string_view text) {
  if (text.empty()) return;
  if (segments.empty() || segments.back().token != nullptr) segments.push_back({});
  segments.back().text += text;
}

}  // namespace

// ---- loading

Tokenizer Tokenizer::load(const std::string& directory) {
  auto files = read_tokenizer_files(directory);
  auto impl = std::make_shared<Impl>();
  impl->legacy = files.legacy;
  impl->add_bos = files.add_bos;
  impl->add_eos = files.add_eos;
  impl->added = files.added;
  // Only the original's legacy mode lets sentencepiece put a space in front.
  files.model.add_dummy_prefix = files.model.add_dummy_prefix && files.legacy;
  impl->load_model(files.model, directory);
  impl->set_tokens(files);
  impl->set_roles(files, directory);
  impl->set_groma_tokens(directory);
  return Tokenizer(std::move(impl));
}

void Tokenizer::Impl::load_model(SentencePieceModel model, const std::string& directory) {
  pieces = PieceTable(model);
  const auto status = processor.LoadFromSerializedProto(serialize(model));
  require(status.ok(), "load ", io::quote(directory), ": sentencepiece refuses tokenizer.model (",
          status.message(), "); copy the file again");
}

int64_t Tokenizer::Impl::find_token(const std::string& text) const {
  const auto found = tokens.find(text);
  return found == tokens.end() ? -1 : found->second.id;
}

void Tokenizer::Impl::set_tokens(const TokenizerFiles& files) {
  for (std::size_t i = 0; i < added.size(); ++i) {
    tokens[added[i]].id = pieces.size() + static_cast<int64_t>(i);
  }
  for (const auto& role : files.roles) {
    auto& token = tokens[role.text];
    if (token.id < 0) token.id = pieces.find(role.text);
    if (role.described) {
      token.strips_left = role.strips_left;
      token.strips_right = role.strips_right;
    }
    special_texts.insert(role.text);
    special_ids.insert(token.id);
  }
  for (const auto& [text, token] : tokens) {
    token_lengths.insert(text.size());
    begins_token[static_cast<unsigned char>(text[0])] = true;
  }
}

void Tokenizer::Impl::set_roles(const TokenizerFiles& files, const std::string& directory) {
  const auto text_of = [&](const char* role) {
    const auto found = std::find_if(files.roles.begin(), files.roles.end(),
                                    [&](const RoleToken& token) { return token.role == role; });
    return found == files.roles.end() ? std::string() : found->text;
  };
  const auto control = [&](const char* role, PieceTable::Type type) {
    const auto id = find_token(text_of(role));
    // Were it an ordinary piece, plain text could produce it.
    require(id >= pieces.size() || (id >= 0 && type == pieces.type(id)), "load ",
            io::quote(directory), ": ", role, " ", io::quote(text_of(role), 40),
            " is an ordinary piece of tokenizer.model; take all files from one release");
    return id;
  };
  special.bos = control("bos_token", PieceTable::Type::kControl);
  special.eos = control("eos_token", PieceTable::Type::kControl);
  special.unk = control("unk_token", PieceTable::Type::kUnknown);
  special.pad = find_token(text_of("pad_token").empty() ? "[PAD]" : text_of("pad_token"));
  unknown_text = text_of("unk_token");
  unknown_length = processor.EncodeAsIds(unknown_text).size();
  if (!legacy) beginning = {pieces.find(kSpaceMarker)};
}

void Tokenizer::Impl::set_groma_tokens(const std::string& directory) {
  const std::pair<const char*, int64_t*> needed[] = {
      {"<roi>", &special.roi_begin},       {"</roi>", &special.roi_end},
      {"<p>", &special.phrase_begin},      {"</p>", &special.phrase_end},
      {"<image>", &special.image},         {"<region>", &special.region},
      {"<refer_box>", &special.refer_box}, {"<refer_feat>", &special.refer_feat},
      {"[grounding]", &special.grounding}, {"<r0>", &special.region_first}};
  std::string missing;
  for (const auto& [text, id] : needed) {
    *id = find_token(text);
    if (*id < pieces.size()) missing += (missing.empty() ? "" : ", ") + std::string(text);
  }
  require(missing.empty(), "load ", io::quote(directory), ": the tokenizer lacks the added tokens ",
          missing, "; is this a Groma checkpoint?");
  for (auto id = special.region_first; id >= 0; id = find_token(region_text())) {
    const auto expected = special.region_first + special.region_count;
    require(id == expected, "load ", io::quote(directory), ": ", region_text(), " has id ", id,
            ", expected ", expected, "; take all files from one release");
    ++special.region_count;
  }
}

Tokenizer::Tokenizer(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

// ---- text to ids

/// The longest token that `text` begins with, as a member of `tokens`; null where none does.
const TokenMap::value_type* Tokenizer::Impl::token_at(std::string_view text) const {
  if (!begins_token[static_cast<unsigned char>(text[0])]) return nullptr;
  for (const auto length : token_lengths) {
    if (length > text.size()) continue;
    const auto found = tokens.find(std::string(text.substr(0, length)));
    if (found != tokens.end()) return &*found;
  }
  return nullptr;
}

/// Finds tokens from left to right.
void Tokenizer::Impl::split(std::string_view tagged, std::vector<Segment>& segments) const {
  std::size_t begin = 0;
  for (std::size_t at = 0; at < tagged.size();) {
    const auto* found = token_at(tagged.substr(at));
    if (found == nullptr) {
      ++at;
      continue;
    }
    append_text(segments, tagged.substr(begin, at - begin));
    segments.push_back({found->first, &found->second});
    begin = at += found->first.size();
  }
  append_text(segments, tagged.substr(begin));
}

std::vector<Segment> Tokenizer::Impl::segments_of(const std::vector<TextPiece>& texts) const {
  std::vector<Segment> segments;
  // Quirk: outside legacy mode a literal U+2581 becomes a space, and one marks where the text
  // begins (reference `LlamaTokenizer.tokenize`; test EncodesLikeTheOriginal).
  bool at_start = !legacy;
  for (const auto& piece : texts) {
    if (piece.text.empty()) continue;
    const auto marker = std::string(at_start ? kSpaceMarker : std::string_view());
    const auto text = marker + (legacy ? piece.text : replace_space_markers(piece.text));
    at_start = false;
    if (piece.tagged) {
      split(text, segments);
    } else {
      append_text(segments, text);
    }
  }
  for (auto& segment : segments) {
    if (segment.token == nullptr) segment.text = replace_invalid_utf8(segment.text);
  }
  return segments;
}

/// Neighbours lose the white space that faces a token, unless the token was described otherwise.
void Tokenizer::Impl::strip_beside_tokens(std::vector<Segment>& segments) const {
  const auto shorten = [&](Segment& segment, std::string_view text) {
    if (text.size() == segment.text.size()) return;
    segment.text = std::string(text);
    // A token that itself begins or ends with white space is no longer one.
    if (segment.token != nullptr && tokens.count(segment.text) == 0) segment.token = nullptr;
  };
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const auto* token = segments[i].token;
    if (token == nullptr) continue;
    if (token->strips_right && i + 1 < segments.size()) {
      shorten(segments[i + 1], strip_left(segments[i + 1].text));
    }
    if (token->strips_left && i > 0) shorten(segments[i - 1], strip_right(segments[i - 1].text));
  }
}

std::vector<int> Tokenizer::Impl::encode_text(const std::string& text) const {
  std::vector<int> ids;
  // Quirk: outside legacy mode the text is encoded behind "<unk>", whose pieces are then cut off,
  // also where its last one grew (reference `LlamaTokenizer._tokenize`; same test).
  const auto status = processor.Encode(legacy ? text : unknown_text + text, &ids);
  require(status.ok(), "encode text: sentencepiece failed (", status.message(),
          "); report this with the text");
  if (!legacy) ids.erase(ids.begin(), ids.begin() + std::min(unknown_length, ids.size()));
  return ids;
}

std::vector<int64_t> Tokenizer::encode(const std::vector<TextPiece>& pieces) const {
  const auto& impl = *impl_;
  auto segments = impl.segments_of(pieces);
  impl.strip_beside_tokens(segments);
  std::vector<int64_t> ids;
  for (const auto& segment : segments) {
    if (segment.text.empty()) continue;
    if (segment.token == nullptr) {
      const auto text_ids = impl.encode_text(segment.text);
      ids.insert(ids.end(), text_ids.begin(), text_ids.end());
      continue;
    }
    // The mark of the beginning goes where <s>, </s>, <unk> or [PAD] comes first.
    if (ids == impl.beginning && impl.special_ids.count(segment.token->id) > 0) ids.clear();
    ids.push_back(segment.token->id);
  }
  if (impl.add_bos) ids.insert(ids.begin(), impl.special.bos);
  if (impl.add_eos) ids.push_back(impl.special.eos);
  return ids;
}

// ---- ids to text

/// One run of pieces between added tokens (reference `LlamaTokenizer.convert_tokens_to_string`).
void Tokenizer::Impl::decode_run(const std::vector<int64_t>& ids,
                                 std::vector<TextPiece>& out) const {
  RunDecoder decoder(pieces);
  std::string text;
  bool after_special = false;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto& whole = pieces.text(ids[i]);
    const std::string piece(i == 0 ? without_space_marker(whole) : std::string_view(whole));
    const bool is_special = special_texts.count(piece) > 0;
    if (!is_special) {
      decoder.feed(piece, text);
    } else {
      // Quirk: the space of legacy mode comes before the words, not before the token.
      if (legacy && i > 0 && !after_special) append_plain(out, " ");
      decoder.finish(text);
      append_plain(out, text);
      text.clear();
      out.push_back({piece, true});
    }
    after_special = is_special;
  }
  decoder.finish(text);
  append_plain(out, text);
}

std::vector<TextPiece> Tokenizer::Impl::decode(const std::vector<int64_t>& ids,
                                               bool skip_special) const {
  std::vector<TextPiece> out;
  std::vector<int64_t> run;
  bool first = true;
  const auto separate = [&] {
    if (!first) append_plain(out, " ");
    first = false;
  };
  const auto end_run = [&] {
    if (run.empty()) return;
    separate();
    decode_run(run, out);
    run.clear();
  };
  const auto size = pieces.size() + static_cast<int64_t>(added.size());
  for (const auto id : ids) {
    require(id >= 0 && id < size, "decode: id ", id, ", the tokenizer has ", size,
            "; take weights and tokenizer from one release");
    if (skip_special && special_ids.count(id) > 0) continue;
    if (id < pieces.size()) {
      run.push_back(id);
      continue;
    }
    end_run();
    separate();
    out.push_back({added[id - pieces.size()], true});
  }
  end_run();
  return out;
}

std::string Tokenizer::decode(const std::vector<int64_t>& ids, bool skip_special) const {
  std::string text;
  for (const auto& piece : impl_->decode(ids, skip_special)) text += piece.text;
  return text;
}

std::vector<TextPiece> Tokenizer::decode_pieces(const std::vector<int64_t>& ids) const {
  return impl_->decode(ids, false);
}

// ---- questions about ids

bool Tokenizer::is_added(int64_t id) const { return id >= vocabulary() && id < size(); }

bool Tokenizer::is_control(int64_t id) const {
  if (id < 0 || id >= vocabulary()) return is_added(id);
  const auto type = pieces().type(id);
  return type == PieceTable::Type::kControl || type == PieceTable::Type::kUnknown;
}

bool Tokenizer::is_skipped(int64_t id) const { return impl_->special_ids.count(id) > 0; }
int64_t Tokenizer::vocabulary() const { return impl_->pieces.size(); }
int64_t Tokenizer::size() const { return vocabulary() + static_cast<int64_t>(impl_->added.size()); }
const SpecialIds& Tokenizer::special() const { return impl_->special; }
const PieceTable& Tokenizer::pieces() const { return impl_->pieces; }

}  // namespace groma
