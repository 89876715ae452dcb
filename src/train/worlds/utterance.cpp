#include "train/worlds/utterance.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "check.h"

namespace groma::train {
namespace {

int least_rank(const Mention& mention, std::span<const int> rank) {
  int least = std::numeric_limits<int>::max();
  for (const int object : mention.objects) least = std::min(least, rank[object]);
  return least;
}

}  // namespace

Utterance fill(std::string_view pattern, std::string_view words, std::vector<int> objects) {
  const std::size_t gap = pattern.find("{}");
  require(gap != std::string_view::npos, "fill a sentence: no {} in '", pattern, "'; add one");
  return Speech()
      .say(pattern.substr(0, gap))
      .mention(words, std::move(objects))
      .say(pattern.substr(gap + 2));
}

std::string fill_text(std::string_view pattern, std::string_view words) {
  return fill(pattern, words).text;
}

std::vector<int> mentioned(const Utterance& utterance) {
  std::vector<int> objects;
  for (const auto& mention : utterance.mentions) {
    objects.insert(objects.end(), mention.objects.begin(), mention.objects.end());
  }
  return objects;
}

Utterance in_order(const Utterance& utterance, std::span<const int> rank) {
  std::vector<Mention> mentions = utterance.mentions;
  for (auto& mention : mentions) {
    if (mention.in_sequence) continue;
    std::sort(mention.objects.begin(), mention.objects.end(),
              [&](int a, int b) { return rank[a] < rank[b]; });
  }
  std::vector<std::size_t> places(mentions.size());
  std::iota(places.begin(), places.end(), 0);
  if (utterance.is_list) {
    std::stable_sort(places.begin(), places.end(), [&](std::size_t a, std::size_t b) {
      return least_rank(mentions[a], rank) < least_rank(mentions[b], rank);
    });
  }
  Speech speech;
  const std::string_view text = utterance.text;
  std::size_t at = 0;
  for (std::size_t i = 0; i < mentions.size(); ++i) {
    const Mention& slot = utterance.mentions[i];
    const Mention& moved = mentions[places[i]];
    speech.say(text.substr(at, slot.begin - at));
    speech.mention(text.substr(moved.begin, moved.end - moved.begin), moved.objects,
                   moved.in_sequence);
    at = slot.end;
  }
  speech.say(text.substr(at));
  if (utterance.is_list) speech.list();
  return speech;
}

std::string tagged(const Utterance& utterance, Speaker speaker,
                   const std::function<std::string(int)>& region) {
  std::string result;
  int at = 0;
  for (const auto& mention : utterance.mentions) {
    result += utterance.text.substr(at, mention.begin - at);
    at = mention.end;
    if (mention.end > mention.begin) {
      result += "<p>" + utterance.text.substr(mention.begin, mention.end - mention.begin) + "</p>";
    }
    if (mention.objects.empty()) continue;
    const bool tags = speaker == Speaker::kAssistant;
    if (tags) result += "<roi>";
    for (const int object : mention.objects) result += region(object);
    if (tags) result += "</roi>";
  }
  return result + utterance.text.substr(at);
}

}  // namespace groma::train
