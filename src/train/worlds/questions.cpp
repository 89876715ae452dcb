#include "train/worlds/questions.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <set>
#include <utility>

#include "train/worlds/relations.h"
#include "train/worlds/turns.h"
#include "train/worlds/utterance.h"
#include "train/worlds/words.h"

namespace groma::train {
namespace {

Question question_of(Task task, const std::string& kind, const Exchange& turn,
                     std::vector<int> targets) {
  Question question;
  question.task = task;
  question.kind = kind;
  question.turns = {turn};
  question.targets = std::move(targets);
  return question;
}

std::optional<Question> ask_refer(const std::optional<Expression>& expression, Random& random) {
  if (!expression) return {};
  const Expression& it = *expression;
  Question question = question_of(Task::kRefer, it.kind,
                                  refer_turn(it.text, it.target, it.steps, random), {it.target});
  question.expression = it.text;
  question.anchors = it.anchors;
  question.blind = it.blind;
  return question;
}

std::optional<Question> ask_ground(const Scene& scene, Random& random) {
  const auto words = shared_words(scene, random.chance(0.75) ? 2 : 1, kMostRegions, random);
  if (!words) return {};
  Question question = question_of(Task::kGround, "ground", ground_turn(scene, *words, random),
                                  fitting(scene, *words));
  question.expression = phrase(scene, *words);
  return question;
}

std::optional<Question> ask_caption(const Scene& scene, Random& random) {
  const int object = random.below(static_cast<int>(scene.objects.size()));
  Question question =
      question_of(Task::kCaption, "caption", caption_turn(scene, object, random), {object});
  question.expected = question.turns[0].answer.text;
  return question;
}

std::optional<Question> ask_describe(const Scene& scene, Random& random) {
  std::vector<int> all(scene.objects.size());
  std::iota(all.begin(), all.end(), 0);
  if (random.chance(0.25)) {
    return question_of(Task::kDescribe, "groups", groups_turn(scene, random), all);
  }
  return question_of(Task::kDescribe, "describe", describe_turn(scene, random), all);
}

std::optional<Question> ask_count(const Scene& scene, Random& random) {
  std::optional<Words> words = shared_words(scene, random.chance(0.7) ? 2 : 1, 12, random);
  const double x = random.uniform();
  if (x < 0.08) words = absent_words(scene, random);
  if (x > 0.94) words = Words{};  // "How many shapes are there?"
  if (!words) return {};
  const std::vector<int> found = fitting(scene, *words);
  Question question = question_of(Task::kCount, "count", count_turn(scene, *words, random), found);
  question.expression = phrase(scene, *words);
  question.expected = kNumbers[found.size()];
  return question;
}

std::optional<Question> ask_exists(const Scene& scene, bool yes, Random& random) {
  const auto words =
      yes ? shared_words(scene, 1, kMostRegions, random) : absent_words(scene, random);
  if (!words) return {};
  Question question = question_of(Task::kYesNo, "exists", exists_turn(scene, *words, random),
                                  fitting(scene, *words));
  question.expression = phrase(scene, *words);
  return question;
}

template <typename List>
std::string other_word(const List& list, const std::string& word, Random& random) {
  for (;;) {
    std::string other(random.pick(list));
    if (other != word) return other;
  }
}

/// Whether an object has a property; asked with its box, or with a name that tells it apart.
std::optional<Question> ask_property(const Scene& scene, bool yes, Random& random) {
  const int object = random.below(static_cast<int>(scene.objects.size()));
  Words known = words_of(scene.objects[object]);
  std::string asked, truth;
  const auto ask_for = [&](const auto& list, std::string& word) {
    truth = std::exchange(word, "");
    asked = yes ? truth : other_word(list, truth, random);
  };
  const int sort = random.below(3);
  if (sort == 0 && !known.color.empty()) {
    ask_for(kColors, known.color);
  } else if (sort == 1 && !known.texture.empty()) {
    ask_for(kTextures, known.texture);
  } else {
    ask_for(kSizes, known.size);
  }
  Exchange turn;
  turn.answer = yes_or_no(yes);
  // What it is comes first, so that the verdict compares two words.
  const std::string verdict = " is " + truth + (yes ? ": yes." : ": no.");
  if (fitting(scene, known).size() == 1 && random.chance(0.5)) {
    const std::string name = "the " + phrase(scene, known);
    turn.question = Speech().say("Is ").mention(name).say(" " + asked + "?");
    turn.steps = Speech().mention(name, {object}).say(verdict);
  } else {
    turn.question = Speech().say("Is ").regions({object}).say(" " + asked + "?");
    turn.steps = Speech().say("It" + verdict);
  }
  return question_of(Task::kYesNo, "property", turn, {object});
}

/// Whether one uniquely named object stands on some side of another one.
std::optional<Question> ask_side(const Scene& scene, bool yes, Random& random) {
  constexpr std::array<const char*, 4> kWords{" to the left of ", " to the right of ", " above ",
                                              " below "};
  constexpr std::array<const char*, 4> kFurther{"leftmost", "rightmost", "topmost", "bottommost"};
  const auto count = static_cast<int>(scene.objects.size());
  const int first = random.below(count);
  const int second = random.below(count);
  const auto first_words = unique_words(scene, first, random);
  const auto second_words = unique_words(scene, second, random);
  if (first == second || !first_words || !second_words) return {};
  std::vector<int> sides;
  for (int i = 0; i < 4; ++i) {
    const Truth wanted = yes ? Truth::kYes : Truth::kNo;
    if (is_beside(scene, first, second, kSides[i]) == wanted) sides.push_back(i);
  }
  if (sides.empty()) return {};
  const int side = random.pick(sides);
  const std::string name = "the " + phrase(scene, *first_words);
  const std::string other = "the " + phrase(scene, *second_words);
  Exchange turn;
  turn.question = Speech().say("Is ").mention(name).say(kWords[side]).mention(other).say("?");
  turn.answer = yes_or_no(yes);
  // Clearly not on this side is clearly on the other one, so one of the two is further there.
  turn.steps = Speech()
                   .mention(name, {first})
                   .say(" and ")
                   .mention(other, {second})
                   .say(", ")
                   .mention(std::string("the ") + kFurther[side] + " one", {yes ? first : second})
                   .say(yes ? ": yes." : ": no.");
  Question question = question_of(Task::kYesNo, "side", turn, {first});
  question.anchors = {second};
  return question;
}

std::optional<Question> ask_yes_no(const Scene& scene, Random& random) {
  const bool yes = random.chance(0.5);  // settled first, so that neither answer prevails
  for (int i = 0; i < 8; ++i) {
    const int sort = random.below(3);
    auto question = sort == 0   ? ask_exists(scene, yes, random)
                    : sort == 1 ? ask_property(scene, yes, random)
                                : ask_side(scene, yes, random);
    if (!question) continue;
    question->expected = yes ? "yes" : "no";
    return question;
  }
  return {};
}

std::optional<Question> ask_absent(const Scene& scene, Random& random) {
  const auto words = absent_words(scene, random);
  if (!words) return {};
  const bool all = random.chance(0.4);
  Question question = question_of(Task::kAbsent, all ? "ground" : "refer",
                                  absent_turn(scene, *words, all, random), {});
  question.expression = phrase(scene, *words);
  question.expected = question.turns[0].answer.text;
  return question;
}

/// What no two questions about a scene may share.
std::string subject_of(const Question& question) {
  if (question.task == Task::kRefer || question.task == Task::kGround) return question.expression;
  const auto number = [](int object) { return std::to_string(object); };
  return tagged(question.turns[0].question, Speaker::kUser, number);
}

}  // namespace

std::vector<Question> questions(const Scene& scene, Random& random, const QuestionCounts& counts) {
  std::vector<Question> result;
  if (scene.objects.empty()) return result;
  std::set<std::string> asked;
  const auto add = [&](int count, auto&& ask) {
    for (int made = 0, tries = 0; made < count && tries < 3 * count; ++tries) {
      std::optional<Question> question = ask();
      if (!question) continue;
      if (!asked.insert(subject_of(*question)).second) continue;
      result.push_back(*std::move(question));
      ++made;
    }
  };
  add(counts.attribute, [&] { return ask_refer(attribute_expression(scene, random), random); });
  add(counts.relation, [&] { return ask_refer(relation_expression(scene, random), random); });
  add(counts.superlative, [&] { return ask_refer(superlative_expression(scene, random), random); });
  add(counts.ordinal, [&] { return ask_refer(ordinal_expression(scene, random), random); });
  add(counts.ground, [&] { return ask_ground(scene, random); });
  add(counts.caption, [&] { return ask_caption(scene, random); });
  add(counts.describe, [&] { return ask_describe(scene, random); });
  add(counts.count, [&] { return ask_count(scene, random); });
  add(counts.yes_no, [&] { return ask_yes_no(scene, random); });
  add(counts.absent, [&] { return ask_absent(scene, random); });
  add(counts.dialogue, [&] { return ask_dialogue(scene, random); });
  return result;
}

}  // namespace groma::train
