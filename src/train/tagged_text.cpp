#include "train/tagged_text.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "check.h"
#include "io/file.h"

namespace groma::train {
namespace {

constexpr std::size_t kMostBytes = 20'000;
constexpr std::array<std::string_view, 17> kTokens = {
    "[PAD]", "<sep>", "<img>",   "</img>",       "<roi>",       "</roi>",
    "<p>",   "</p>",  "<image>", "<region>",     "<refer_box>", "<ground_box>",
    "<s>",   "</s>",  "<unk>",   "<refer_feat>", "[grounding]"};
constexpr std::array<std::string_view, 5> kTags = {"<p>", "</p>", "<roi>", "</roi>", "<box>"};

/// A token of Groma in the text; empty where there is none.
std::string_view token_in(std::string_view text) {
  for (const auto token : kTokens) {
    const auto at = text.find(token);
    if (at != text.npos) return text.substr(at, token.size());
  }
  for (auto at = text.find("<r"); at != text.npos; at = text.find("<r", at + 1)) {
    auto end = at + 2;
    while (end < text.size() && std::isdigit(static_cast<unsigned char>(text[end]))) ++end;
    if (end > at + 2 && end < text.size() && text[end] == '>') {
      return text.substr(at, end + 1 - at);
    }
  }
  return {};
}

void check_tokens(std::string_view text, const std::string& doing) {
  const auto token = token_in(text);
  require(token.empty(), doing, ": holds ", io::quote(token),
          ", which is a token of the model; write <box> for a region, and no other token");
}

bool blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

class Parser {
 public:
  Parser(std::string_view text, Speaker speaker, const std::vector<int>& objects,
         const std::string& doing)
      : rest_(text), speaker_(speaker), objects_(objects), doing_(doing) {}

  Utterance parse() {
    while (!rest_.empty()) {
      if (take("<p>")) {
        phrase();
      } else if (take("<roi>")) {
        require(speaker_ == Speaker::kAssistant, doing_,
                ": a user's text holds <roi>; write <box> alone");
        regions();
      } else if (rest_.starts_with("<box>")) {
        require(speaker_ == Speaker::kUser, doing_,
                ": <box> stands outside <roi></roi>, where an answer names its regions");
        boxes();
      } else {
        say();
      }
    }
    require(next_ == objects_.size(), doing_, ": ", objects_.size(), " boxes for ", next_,
            " <box> in the text; give one box for each");
    return utterance_;
  }

 private:
  bool take(std::string_view tag) {
    if (!rest_.starts_with(tag)) return false;
    rest_.remove_prefix(tag.size());
    return true;
  }

  /// Text up to the next tag.
  std::string_view plain() {
    auto end = rest_.size();
    for (const auto tag : kTags) end = std::min(end, rest_.find(tag));
    const auto text = rest_.substr(0, end);
    rest_.remove_prefix(end);
    check_tokens(text, doing_);
    return text;
  }

  void say() {
    const auto text = plain();
    require(!text.empty(), doing_, ": ", io::quote(rest_, 6), " stands where no tag of its kind ",
            "is open");
    utterance_.text += text;
  }

  void phrase() {
    Mention mention;
    mention.begin = static_cast<int>(utterance_.text.size());
    utterance_.text += plain();
    mention.end = static_cast<int>(utterance_.text.size());
    require(take("</p>"), doing_, ": <p> without </p> right after its words");
    require(mention.end > mention.begin, doing_, ": <p></p> without words");
    utterance_.mentions.push_back(std::move(mention));
    if (speaker_ == Speaker::kUser) {
      read_boxes(utterance_.mentions.back());
      return;
    }
    // Blanks between a phrase and its regions vanish in tokens anyway.
    const auto next = rest_.find_first_not_of(' ');
    if (next == rest_.npos || !rest_.substr(next).starts_with("<roi>")) return;
    rest_.remove_prefix(next);
    take("<roi>");
    close_regions(utterance_.mentions.back());
  }

  void regions() {
    boxless_mention();
    close_regions(utterance_.mentions.back());
  }

  void boxes() {
    boxless_mention();
    read_boxes(utterance_.mentions.back(), 1);
  }

  void boxless_mention() {
    const auto at = static_cast<int>(utterance_.text.size());
    utterance_.mentions.push_back({at, at, {}, false});
  }

  void close_regions(Mention& mention) {
    read_boxes(mention);
    require(!mention.objects.empty() && take("</roi>"), doing_,
            ": <roi> holds something else than <box>, or does not close");
  }

  void read_boxes(Mention& mention, std::size_t most = 1000) {
    while (mention.objects.size() < most && take("<box>")) {
      require(next_ < objects_.size(), doing_, ": more <box> in the text than the ",
              objects_.size(), " boxes given; give one box for each");
      mention.objects.push_back(objects_[next_++]);
    }
  }

  std::string_view rest_;
  Speaker speaker_;
  const std::vector<int>& objects_;
  const std::string& doing_;
  Utterance utterance_;
  std::size_t next_ = 0;
};

}  // namespace

Utterance parse_tagged(std::string_view text, Speaker speaker, const std::vector<int>& objects,
                       const std::string& doing) {
  require(!blank(text), doing, ": the text is empty");
  require(text.size() <= kMostBytes, doing, ": ", text.size(), " bytes of text, expected at most ",
          kMostBytes);
  return Parser(text, speaker, objects, doing).parse();
}

void check_plain(std::string_view text, const std::string& doing) {
  require(!blank(text), doing, ": the text is empty");
  require(text.size() <= kMostBytes, doing, ": ", text.size(), " bytes of text, expected at most ",
          kMostBytes);
  check_tokens(text, doing);
}

}  // namespace groma::train
