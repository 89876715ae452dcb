#pragma once

#include <fstream>
#include <initializer_list>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "folders.h"
#include "language/piece_table.h"
#include "language/tokenizer.h"
#include "language/tokenizer_writer.h"

namespace groma::testing {

inline std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_bytes(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

/// A folder with a tokenizer whose settings a test can change.
class TokenizerFolder {
 public:
  /// Single characters only: what a text becomes is easily written down.
  static constexpr int64_t kPieces = 360, kRegions = 12;
  TokenizerFolder() { write_byte_tokenizer(path(), kPieces, kRegions); }

  /// Words and parts of words learnt from a few sentences.
  explicit TokenizerFolder(const std::vector<std::string>& sentences) {
    write_trained_tokenizer(path(), sentences, 420, kRegions);
  }

  std::string path() const { return folder_.path().string(); }

  TokenizerFolder& set(const char* file, const std::string& key, const nlohmann::json& value) {
    auto settings = nlohmann::json::parse(read_bytes(folder_.path() / file));
    settings[key] = value;
    write_bytes(folder_.path() / file, settings.dump());
    return *this;
  }

  TokenizerFolder& legacy(bool value) { return set("tokenizer_config.json", "legacy", value); }
  Tokenizer load() const { return Tokenizer::load(path()); }

 private:
  TemporaryFolder folder_;
};

inline const std::vector<std::string>& sentences() {
  static const std::vector<std::string> list = {
      "the cat and the dog are sitting on the grass near the old house",
      "describe the image in detail, then locate the two dogs that are running",
      "there is a man in a red shirt, and a woman with an umbrella (yellow)",
      "What is the person doing? The person is riding a horse: a brown one!",
      "  several   spaces  stand    here   and  there  "};
  return list;
}

/// The id of a piece or an added token by its text.
inline int64_t id_of(const Tokenizer& tokenizer, const std::string& text) {
  for (int64_t id = tokenizer.vocabulary(); id < tokenizer.size(); ++id) {
    if (tokenizer.decode({id}) == text) return id;
  }
  return tokenizer.pieces().find(text);
}

/// The ids of <s> and of `texts`, pieces or added tokens; "_" stands for the space marker.
inline std::vector<int64_t> ids_of(const Tokenizer& tokenizer,
                                   std::initializer_list<const char*> texts) {
  std::vector<int64_t> ids = {tokenizer.special().bos};
  for (const std::string text : texts) {
    ids.push_back(id_of(tokenizer, text == "_" ? std::string(kSpaceMarker) : text));
  }
  return ids;
}

/// Text of words, white space, tokens, parts of tokens, symbols and raw bytes.
inline std::string random_text(std::mt19937& random) {
  static const std::vector<std::string> parts = {
      "the cat", "dogs",   " ",     "  ",    "\n",      "\u3000", "\u00a0",       "\u2581",
      "<s>",     "</s>",   "<unk>", "[PAD]", "<image>", "<r3>",   "<r11>",        "<r12>",
      "<roi>",   "</roi>", "<p>",   "</p>",  "<",       ">",      "<0x41>",       "r3>",
      "é",       "日本",   "😀",     "\xE3",  "\x80",    "\xFF",   "<refer_feat>", "[grounding]",
      "3.14",    "(x)",    ","};
  std::string text;
  for (int count = static_cast<int>(random() % 12); count > 0; --count) {
    if (random() % 8 == 0) {
      text += static_cast<char>(random());
    } else {
      text += parts[random() % parts.size()];
    }
  }
  return text;
}

/// Ids of all kinds, more often the kinds that matter to the structure of an answer.
inline std::vector<int64_t> random_ids(const Tokenizer& tokenizer, std::mt19937& random) {
  std::vector<int64_t> ids(random() % 24);
  for (auto& id : ids) {
    const auto kind = random() % 6;
    if (kind == 0) id = static_cast<int64_t>(random() % 3);
    if (kind == 1) id = 3 + static_cast<int64_t>(random() % 256);
    if (kind == 2) id = tokenizer.special().roi_begin + static_cast<int64_t>(random() % 4);
    if (kind == 3)
      id = tokenizer.vocabulary() +
           static_cast<int64_t>(random() % (tokenizer.size() - tokenizer.vocabulary()));
    if (kind >= 4) id = static_cast<int64_t>(random() % tokenizer.size());
  }
  return ids;
}

}  // namespace groma::testing
