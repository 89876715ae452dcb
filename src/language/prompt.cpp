#include "language/prompt.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "check.h"
#include "language/unicode.h"

namespace groma {
namespace {

constexpr const char* kSystem =
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the user's questions.";
constexpr const char* kShowQuestion =
    "Here is an image with region crops from it. Image: <image>. Regions: <region>.";
constexpr const char* kShowAnswer = "Thank you for the image! How can I assist you with it?";
constexpr const char* kEndOfAnswer = "</s>";
constexpr std::string_view kBoxPlace = "<box>";
constexpr const char* kReferredBox = "<roi><refer_box></roi><refer_feat>";

/// What an answer must not bring into the next prompt.
constexpr std::array<std::string_view, 6> kNotInHistory = {
    "</s>", "[PAD]", "<image>", "<region>", "<refer_box>", "<refer_feat>"};

bool belongs_in_history(const TextPiece& piece) {
  return !piece.tagged ||
         std::find(kNotInHistory.begin(), kNotInHistory.end(), piece.text) == kNotInHistory.end();
}

/// Drops white space in front of the first and behind the last visible character.
void trim(std::vector<TextPiece>& pieces) {
  while (!pieces.empty()) {
    pieces.front().text = std::string(strip_left(pieces.front().text));
    if (!pieces.front().text.empty()) break;
    pieces.erase(pieces.begin());
  }
  while (!pieces.empty()) {
    pieces.back().text = std::string(strip_right(pieces.back().text));
    if (!pieces.back().text.empty()) break;
    pieces.pop_back();
  }
}

void append(std::vector<TextPiece>& to, const std::vector<TextPiece>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

}  // namespace

std::vector<TextPiece> conversation(const std::vector<Turn>& turns) {
  std::vector<TextPiece> all = {{std::string(kSystem) + " USER: " + kShowQuestion +
                                     " ASSISTANT: " + kShowAnswer + kEndOfAnswer,
                                 true}};
  for (const auto& turn : turns) {
    all.push_back({"USER: ", true});
    append(all, turn.question);
    all.push_back({" ASSISTANT:", true});
    std::vector<TextPiece> answer;
    std::copy_if(turn.answer.begin(), turn.answer.end(), std::back_inserter(answer),
                 belongs_in_history);
    trim(answer);
    if (answer.empty()) continue;
    all.push_back({" ", true});
    append(all, answer);
    all.push_back({kEndOfAnswer, true});
  }
  return all;
}

std::vector<TextPiece> user_question(const std::string& prompt, int64_t boxes, bool grounded) {
  require(prompt.size() <= kMostPromptBytes, "read the prompt: ", prompt.size(), " bytes, at most ",
          kMostPromptBytes, " are read; shorten it");
  std::vector<TextPiece> pieces;
  if (grounded) pieces.push_back({"[grounding]", true});
  std::string_view rest = prompt;
  int64_t places = 0;
  for (auto at = rest.find(kBoxPlace); at != rest.npos; at = rest.find(kBoxPlace)) {
    if (at > 0) pieces.push_back({std::string(rest.substr(0, at)), false});
    pieces.push_back({kReferredBox, true});
    rest.remove_prefix(at + kBoxPlace.size());
    ++places;
  }
  if (!rest.empty()) pieces.push_back({std::string(rest), false});
  require(places == 0 || places == boxes, "read the prompt: ", kBoxPlace, " stands in it ", places,
          " times, boxes given: ", boxes, "; give one box for every ", kBoxPlace, ", in order");
  return pieces;
}

ExpandedPrompt expand_prompt(const std::vector<int64_t>& prompt_ids, const SpecialIds& special,
                             int64_t image_tokens, int64_t regions,
                             const std::vector<int64_t>& refer_matches) {
  const auto count = [&](int64_t id) {
    return std::count(prompt_ids.begin(), prompt_ids.end(), id);
  };
  const auto boxes = count(special.refer_box), features = count(special.refer_feat);
  require(count(special.image) == 1 && count(special.region) == 1,
          "expand the prompt: ", count(special.image), " <image> and ", count(special.region),
          " <region>, expected one of each; leave them out of questions");
  require(regions >= 0 && regions <= special.region_count, "expand the prompt: ", regions,
          " regions, the tokenizer has tokens for ", special.region_count);
  require(boxes == features && boxes == static_cast<int64_t>(refer_matches.size()),
          "expand the prompt: ", boxes, " <refer_box>, ", features, " <refer_feat> and ",
          refer_matches.size(), " boxes; all three must be equal");
  for (const auto match : refer_matches) {
    require(match >= 0 && match < regions, "expand the prompt: box of region ", match,
            ", there are ", regions, " regions");
  }

  ExpandedPrompt result;
  const auto add = [&](int64_t id, int64_t feature) {
    result.ids.push_back(id);
    result.feature_of.push_back(feature);
  };
  std::size_t box = 0, feature = 0;
  for (const auto id : prompt_ids) {
    if (id == special.image) {
      for (int64_t i = 0; i < image_tokens; ++i) add(id, -2 - i);
    } else if (id == special.region) {
      for (int64_t k = 0; k < regions; ++k) {
        add(special.region_first + k, -1);
        add(id, k);
      }
    } else if (id == special.refer_box) {
      add(special.region_first + refer_matches[box++], -1);
    } else if (id == special.refer_feat) {
      add(id, refer_matches[feature++]);
    } else {
      add(id, -1);
    }
  }
  return result;
}

}  // namespace groma
