#include <array>

#include "train/worlds/relations.h"
#include "train/worlds/turns.h"
#include "train/worlds/utterance.h"
#include "train/worlds/words.h"

namespace groma::train {
namespace {

Utterance plain(std::string_view text) { return Speech().say(text); }

/// A question about one property of the object that the turn before was about.
Exchange property_turn(const SceneObject& object, Random& random) {
  const int sort = random.below(3);
  if (sort == 0 && !object.color.empty()) {
    return {plain("What color is it?"), plain("It is " + object.color + "."), {}};
  }
  if (sort == 1 && !object.texture.empty()) {
    const std::string asked(random.pick(kTextures));
    const bool yes = asked == object.texture;
    const std::string answer = yes ? "Yes." : "No, it is " + object.texture + ".";
    return {plain("Is it " + asked + "?"), plain(answer), {}};
  }
  return {plain("How large is it?"), plain("It is " + object.size + "."), {}};
}

/// What is closest to the object that the turn before was about.
std::optional<Exchange> neighbor_turn(const Scene& scene, int object) {
  std::vector<int> others;
  for (int i = 0; i < static_cast<int>(scene.objects.size()); ++i) {
    if (i != object) others.push_back(i);
  }
  const auto neighbor = nearest(scene, others, object);
  if (!neighbor) return {};
  const std::string words = phrase(scene, words_of(scene.objects[*neighbor]));
  Exchange turn;
  turn.question = plain("What is closest to it?");
  turn.answer = Speech().say("It is ").mention(with_article(words), {*neighbor}).say(".");
  turn.grounded = true;
  return turn;
}

/// Finds something, then asks about it.
std::optional<std::vector<Exchange>> talk_about_one(const Scene& scene, Random& random) {
  auto found = attribute_expression(scene, random);
  if (random.chance(0.4)) found = relation_expression(scene, random);
  if (!found) return {};
  std::vector<Exchange> turns{refer_turn(found->text, found->target, found->steps, random)};
  turns.push_back(property_turn(scene.objects[found->target], random));
  const auto neighbor = neighbor_turn(scene, found->target);
  if (neighbor && random.chance(0.6)) turns.push_back(*neighbor);
  return turns;
}

/// Points at something, then asks where more of its kind is.
std::optional<std::vector<Exchange>> talk_about_region(const Scene& scene, Random& random) {
  const int object = random.below(static_cast<int>(scene.objects.size()));
  std::vector<Exchange> turns{caption_turn(scene, object, random)};
  const std::string& kind = scene.objects[object].kind;
  const std::vector<int> alike = fitting(scene, {"", "", "", kind});
  if (alike.size() <= kMostRegions) {
    turns.push_back(ground_turn(scene, {"", "", "", kind}, random));
  }
  if (const auto neighbor = neighbor_turn(scene, object); neighbor && turns.size() == 1) {
    turns.push_back(*neighbor);
  }
  if (turns.size() < 2) return {};
  return turns;
}

/// Counts some objects, then picks one of them.
std::optional<std::vector<Exchange>> talk_about_several(const Scene& scene, Random& random) {
  constexpr std::array<const char*, 6> kWords{"largest",   "smallest", "leftmost",
                                              "rightmost", "topmost",  "bottommost"};
  const auto words = shared_words(scene, 2, kMostRegions, random);
  if (!words) return {};
  const std::vector<int> found = fitting(scene, *words);
  std::vector<Exchange> turns{count_turn(scene, *words, random)};
  if (random.chance(0.4)) {
    turns.push_back({plain("Where are they?"), Speech().regions(found), {}});
  }
  const int which = random.below(6);
  const auto target = extreme(scene, found, kExtremes[which]);
  if (target) {
    const std::string question = "Which one is the " + std::string(kWords[which]) + "?";
    turns.push_back({plain(question), Speech().regions({*target}), {}});
    if (random.chance(0.5)) turns.push_back(property_turn(scene.objects[*target], random));
  }
  if (turns.size() < 2) return {};
  return turns;
}

/// Describes the picture, then asks for what it shows and what it does not.
std::optional<std::vector<Exchange>> talk_about_all(const Scene& scene, Random& random) {
  const bool groups = random.chance(0.4);
  std::vector<Exchange> turns{groups ? groups_turn(scene, random) : describe_turn(scene, random)};
  if (const auto words = absent_words(scene, random); words && random.chance(0.6)) {
    turns.push_back(random.chance(0.5) ? exists_turn(scene, *words, random)
                                       : absent_turn(scene, *words, false, random));
  }
  if (const auto found = superlative_expression(scene, random)) {
    turns.push_back(refer_turn(found->text, found->target, found->steps, random));
  }
  if (turns.size() < 2) return {};
  return turns;
}

}  // namespace

std::optional<Question> ask_dialogue(const Scene& scene, Random& random) {
  std::optional<std::vector<Exchange>> turns;
  switch (random.below(4)) {
    case 0:
      turns = talk_about_one(scene, random);
      break;
    case 1:
      turns = talk_about_region(scene, random);
      break;
    case 2:
      turns = talk_about_several(scene, random);
      break;
    default:
      turns = talk_about_all(scene, random);
  }
  if (!turns) return {};
  Question question;
  question.task = Task::kDialogue;
  question.kind = "dialogue";
  question.turns = *std::move(turns);
  return question;
}

}  // namespace groma::train
