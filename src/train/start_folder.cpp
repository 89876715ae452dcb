#include "train/start_folder.h"

#include <filesystem>
#include <sstream>

#include "check.h"
#include "config.h"
#include "io/file.h"
#include "io/new_folder.h"
#include "language/prompt.h"
#include "language/tokenizer_writer.h"
#include "train/detection_stage.h"
#include "train/worlds/questions.h"

namespace groma::train {
namespace {

/// The words that surround every conversation, without the tokens among them.
std::string surroundings() {
  std::string text, plain;
  for (const auto& piece : conversation({Turn{}})) text += piece.text;
  bool inside = false;
  for (const char c : text) {
    inside |= c == '<';
    if (!inside) plain += c;
    inside &= c != '>';
  }
  return plain;
}

}  // namespace

void write_start_folder(const StartOptions& options) {
  namespace fs = std::filesystem;
  constexpr std::size_t kMostConfig = 1 << 20, kMostText = std::size_t{1} << 30;
  constexpr std::int64_t kOtherTokens = 14;  // Groma's new tokens before <r0>
  io::require_new_folder(options.folder, "make a tokenizer");
  require(!options.texts.empty() || !options.world.empty(),
          "make a tokenizer: nothing to learn pieces from; give --text or --world");
  const auto config_text = io::read_text_file(options.config, kMostConfig);
  const auto config = read_config_file(options.config);
  std::vector<std::string> sentences;
  if (!options.world.empty()) {
    sentences = vocabulary_sentences(world_named(options.world), options.scenes);
  }
  for (const auto& file : options.texts) {
    std::istringstream lines(io::read_text_file(file, kMostText));
    for (std::string line; std::getline(lines, line);) {
      if (!line.empty()) sentences.push_back(line);
    }
  }
  constexpr std::size_t kSentencesATalk = 20;  // about as often as in a conversation
  const auto talks = sentences.size() / kSentencesATalk + 1;
  sentences.insert(sentences.end(), talks, surroundings());
  write_trained_tokenizer(options.folder, sentences, config.language.vocabulary,
                          config.language.new_tokens - kOtherTokens);
  io::write_file((fs::path(options.folder) / "config.json").string(), config_text);
}

}  // namespace groma::train
