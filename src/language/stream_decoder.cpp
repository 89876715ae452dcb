#include "language/stream_decoder.h"

#include <string_view>

#include "check.h"
#include "language/unicode.h"

namespace groma {
namespace {

bool is_one_of(char32_t code, std::u32string_view set) { return set.find(code) != set.npos; }

/// Written without a space before it.
bool attaches(char32_t code) { return is_one_of(code, U",.;:!?)]}'%…，。、；：！？）」』】》"); }

/// Written without a space after it.
bool opens(char32_t code) { return is_one_of(code, U"([{（「『【《"); }

}  // namespace

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer)
    : tokenizer_(tokenizer), run_(tokenizer_.pieces()) {}

std::string StreamDecoder::feed(int64_t id) {
  require(id >= 0 && id < tokenizer_.size(), "decode: id ", id, ", the tokenizer has ",
          tokenizer_.size(), "; take weights and tokenizer from one release");
  if (tokenizer_.is_skipped(id)) return {};
  std::string words;
  if (tokenizer_.is_added(id)) {
    run_.finish(words);
    run_is_empty_ = true;
    auto text = tidy(words);
    token_ = true;
    return text;
  }
  const std::string_view piece = tokenizer_.pieces().text(id);
  run_.feed(run_is_empty_ ? without_space_marker(piece) : piece, words);
  run_is_empty_ = false;
  return tidy(words);
}

std::string StreamDecoder::finish() {
  std::string words;
  run_.finish(words);
  run_is_empty_ = true;
  return tidy(words);
}

std::string StreamDecoder::tidy(const std::string& words) {
  std::string text;
  char32_t code = 0;
  for (std::size_t at = 0, length = 0; at < words.size(); at += length) {
    length = first_character(std::string_view(words).substr(at), &code);
    if (is_space(code)) {
      space_ = true;
      continue;
    }
    const bool apart = space_ || (token_ && !attaches(code) && !opens(last_));
    if (apart && last_ != 0) text += ' ';
    text.append(words, at, length);
    last_ = code;
    space_ = token_ = false;
  }
  return text;
}

}  // namespace groma
