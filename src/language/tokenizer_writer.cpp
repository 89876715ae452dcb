#include "language/tokenizer_writer.h"

#include <sentencepiece_trainer.h>

#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "check.h"
#include "io/file.h"
#include "language/piece_table.h"
#include "language/sentencepiece_model.h"

namespace groma {
namespace {

using nlohmann::ordered_json;
using Type = SentencePieceModel::Type;

constexpr int64_t kLargestVocabulary = 1'000'000;
constexpr int64_t kMostRegions = 10'000;

/// In the order of the published checkpoint.
constexpr std::array kGromaTokens = {
    "[PAD]", "<sep>",   "<img>",    "</img>",      "<roi>",        "</roi>",       "<p>",
    "</p>",  "<image>", "<region>", "<refer_box>", "<ground_box>", "<refer_feat>", "[grounding]"};

class SentenceList : public sentencepiece::SentenceIterator {
 public:
  explicit SentenceList(const std::vector<std::string>& sentences) : sentences_(sentences) {}
  bool done() const override { return next_ == sentences_.size(); }
  void Next() override { ++next_; }
  const std::string& value() const override { return sentences_[next_]; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  const std::vector<std::string>& sentences_;
  std::size_t next_ = 0;
};

ordered_json described(const char* token) {
  return {{"content", token},
          {"lstrip", false},
          {"normalized", false},
          {"rstrip", false},
          {"single_word", false}};
}

ordered_json tokenizer_config() {
  ordered_json config = {{"add_bos_token", true},
                         {"add_eos_token", false},
                         {"clean_up_tokenization_spaces", false},
                         {"legacy", false},
                         {"model_max_length", 2048},
                         {"pad_token", nullptr},
                         {"padding_side", "right"},
                         {"sp_model_kwargs", ordered_json::object()},
                         {"tokenizer_class", "LlamaTokenizer"}};
  for (const auto& [role, token] : {std::pair{"bos_token", "<s>"}, std::pair{"eos_token", "</s>"},
                                    std::pair{"unk_token", "<unk>"}}) {
    config[role] = described(token);
    config[role]["__type"] = "AddedToken";
  }
  return config;
}

void write_json(const std::filesystem::path& path, const ordered_json& value) {
  io::write_file(path.string(), value.dump(2) + "\n");
}

/// Adds pieces that no text can produce until there are `vocabulary`.
void fill_up(SentencePieceModel& model, int64_t vocabulary) {
  for (int64_t i = 0; static_cast<int64_t>(model.pieces.size()) < vocabulary; ++i) {
    model.pieces.push_back(
        {std::string(kSpaceMarker) + "unused" + std::to_string(i), 0, Type::kUnused});
  }
}

void check_sizes(int64_t vocabulary, int64_t least, int64_t region_tokens) {
  require(vocabulary >= least && vocabulary <= kLargestVocabulary, "make a tokenizer: vocabulary ",
          vocabulary, ", expected ", least, " to ", kLargestVocabulary);
  require(region_tokens >= 1 && region_tokens <= kMostRegions, "make a tokenizer: ", region_tokens,
          " region tokens, expected 1 to ", kMostRegions);
}

void write_files(const std::string& directory, const SentencePieceModel& model,
                 int64_t region_tokens) {
  validate(model, "the new tokenizer");
  const auto pieces = static_cast<int64_t>(model.pieces.size());
  ordered_json added;
  int64_t id = pieces;
  for (const auto* token : kGromaTokens) added[token] = id++;
  for (int64_t k = 0; k < region_tokens; ++k) added["<r" + std::to_string(k) + ">"] = id++;

  io::make_folder(directory);
  const std::filesystem::path folder(directory);
  io::write_file((folder / "tokenizer.model").string(), serialize(model));
  write_json(folder / "tokenizer_config.json", tokenizer_config());
  write_json(folder / "special_tokens_map.json", {{"bos_token", described("<s>")},
                                                  {"eos_token", described("</s>")},
                                                  {"pad_token", "[PAD]"},
                                                  {"unk_token", described("<unk>")}});
  write_json(folder / "added_tokens.json", added);
  write_json(folder / "generation_config.json",
             {{"bos_token_id", 1}, {"eos_token_id", 2}, {"pad_token_id", pieces}});
}

}  // namespace

void write_byte_tokenizer(const std::string& directory, int64_t vocabulary, int64_t region_tokens) {
  SentencePieceModel model;
  model.algorithm = SentencePieceModel::Algorithm::kBpe;
  model.byte_fallback = true;
  model.remove_extra_whitespaces = false;
  model.pieces = {
      {"<unk>", 0, Type::kUnknown}, {"<s>", 0, Type::kControl}, {"</s>", 0, Type::kControl}};
  for (int byte = 0; byte < 256; ++byte) model.pieces.push_back({byte_piece(byte), 0, Type::kByte});
  model.pieces.push_back({std::string(kSpaceMarker), 0, Type::kNormal});
  for (char c = '!'; c <= '~'; ++c) model.pieces.push_back({{c}, 0, Type::kNormal});
  check_sizes(vocabulary, static_cast<int64_t>(model.pieces.size()), region_tokens);
  fill_up(model, vocabulary);
  write_files(directory, model, region_tokens);
}

void write_trained_tokenizer(const std::string& directory,
                             const std::vector<std::string>& sentences, int64_t vocabulary,
                             int64_t region_tokens) {
  check_sizes(vocabulary, 3 + 256 + 1, region_tokens);
  require(!sentences.empty(), "make a tokenizer: no sentences; give some text to learn from");
  const std::unordered_map<std::string, std::string> options = {
      {"model_type", "bpe"},
      {"vocab_size", std::to_string(vocabulary)},
      {"hard_vocab_limit", "false"},
      {"byte_fallback", "true"},
      {"normalization_rule_name", "identity"},
      {"remove_extra_whitespaces", "false"},
      {"allow_whitespace_only_pieces", "true"},
      {"split_digits", "true"},
      {"character_coverage", "1.0"},
      {"num_threads", "1"},
      {"minloglevel", "2"},
  };
  SentenceList list(sentences);
  std::string bytes;
  const auto status = sentencepiece::SentencePieceTrainer::Train(options, &list, &bytes);
  require(status.ok(), "make a tokenizer of ", vocabulary, " pieces from ", sentences.size(),
          " sentences: ", status.message(), "; change the vocabulary or the sentences");
  auto model = parse_sentencepiece(bytes, "the new tokenizer");
  fill_up(model, vocabulary);
  write_files(directory, model, region_tokens);
}

}  // namespace groma
