#include "answer/grounding.h"

#include <optional>

#include "check.h"
#include "language/stream_decoder.h"

namespace groma {
namespace {

/// Follows an answer token by token.
///
/// A phrase is open from <p> to </p>. Then it waits for its regions; words between end that. What
/// stands out of order is taken as if the missing tag were there.
class AnswerParser {
 public:
  AnswerParser(const SpecialIds& special, const std::vector<Region>& regions)
      : special_(special), regions_(regions) {}

  void add_words(const std::string& words) {
    if (words.empty()) return;
    if (!in_roi_ && !in_phrase_) close();
    if (in_phrase_ && !phrase_has_words_) {
      phrase_->begin = result_.text.size() + (words.front() == ' ' ? 1 : 0);
      phrase_has_words_ = true;
    }
    result_.text += words;
  }

  void add_tag(int64_t id, float logprob) {
    const auto region = id - special_.region_first;
    if (id == special_.phrase_begin) {
      close();
      in_phrase_ = true;
      phrase_ = empty_phrase();
    } else if (id == special_.phrase_end) {
      end_phrase();
    } else if (id == special_.roi_begin) {
      end_phrase();
      // Only a phrase that still waits for its regions takes these.
      if (phrase_ && !phrase_->regions.empty()) close();
      in_roi_ = true;
    } else if (id == special_.roi_end) {
      if (in_roi_) close();
    } else if (region >= 0 && region < special_.region_count) {
      add_region(static_cast<std::size_t>(region), logprob);
    }
  }

  GroundedText finish() {
    close();
    return std::move(result_);
  }

 private:
  Phrase empty_phrase() const {
    Phrase phrase;
    phrase.begin = phrase.end = result_.text.size();
    return phrase;
  }

  void add_region(std::size_t region, float logprob) {
    if (region >= regions_.size()) return;
    if (!phrase_) phrase_ = empty_phrase();
    phrase_->regions.push_back(
        {static_cast<int>(region), regions_[region].box, regions_[region].score, logprob});
  }

  void end_phrase() {
    if (!in_phrase_) return;
    if (phrase_has_words_) phrase_->end = result_.text.size();
    phrase_->text = result_.text.substr(phrase_->begin, phrase_->end - phrase_->begin);
    in_phrase_ = phrase_has_words_ = false;
  }

  void close() {
    end_phrase();
    in_roi_ = false;
    if (phrase_ && !(phrase_->text.empty() && phrase_->regions.empty())) {
      result_.phrases.push_back(std::move(*phrase_));
    }
    phrase_.reset();
  }

  const SpecialIds& special_;
  const std::vector<Region>& regions_;
  GroundedText result_;
  std::optional<Phrase> phrase_;
  bool in_phrase_ = false;  // between <p> and </p>
  bool phrase_has_words_ = false;
  bool in_roi_ = false;  // between <roi> and </roi>
};

}  // namespace

GroundedText parse_answer(const Tokenizer& tokenizer, const std::vector<int64_t>& ids,
                          const std::vector<float>& logprobs, const std::vector<Region>& regions) {
  require(ids.size() == logprobs.size(), "read an answer: ", ids.size(), " tokens and ",
          logprobs.size(), " probabilities; give one for each token");
  AnswerParser parser(tokenizer.special(), regions);
  StreamDecoder decoder(tokenizer);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    // The words first: a tag may complete those that came before it.
    parser.add_words(decoder.feed(ids[i]));
    parser.add_tag(ids[i], logprobs[i]);
  }
  parser.add_words(decoder.finish());
  return parser.finish();
}

}  // namespace groma
