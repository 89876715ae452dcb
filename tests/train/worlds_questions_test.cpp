#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "train/worlds/questions.h"
#include "train/worlds/words.h"
#include "worlds_support.h"

namespace groma::train {
namespace {

using testing::drawable_worlds;
using testing::Reader;
using testing::scene_of;

constexpr int kScenes = 250;

std::string number(int object) { return "<r" + std::to_string(object) + ">"; }

std::string words_of(const Utterance& utterance, std::size_t mention) {
  const Mention& it = utterance.mentions[mention];
  return utterance.text.substr(it.begin, it.end - it.begin);
}

std::string without_article(const std::string& phrase) {
  return phrase.substr(phrase.find(' ') + 1);
}

/// Calls `check(scene, question)` for every question of a task about many scenes.
template <typename Check>
int for_each_question(Task task, const Check& check) {
  int count = 0;
  QuestionCounts counts;
  counts.attribute = counts.relation = counts.superlative = counts.ordinal = 2;
  counts.yes_no = 3;
  for (const World world : drawable_worlds()) {
    for (std::uint64_t seed = 0; seed < kScenes; ++seed) {
      const Scene scene = scene_of(world, seed);
      Random random(seed);
      for (const auto& question : questions(scene, random, counts)) {
        if (question.task != task) continue;
        check(scene, question);
        ++count;
      }
    }
  }
  return count;
}

TEST(WorldsQuestions, SameStateGivesSameQuestionsInEveryThread) {
  const Scene scene = scene_of(World::kShapes, 3);
  const auto text = [&] {
    Random random(5);
    std::string all;
    for (const auto& question : questions(scene, random, {})) {
      for (const auto& turn : question.turns) {
        all += tagged(turn.question, Speaker::kUser, number) + "\n" +
               tagged(turn.answer, Speaker::kAssistant, number) + "\n";
      }
    }
    return all;
  };
  std::vector<std::string> results(4);
  std::vector<std::jthread> threads;
  for (auto& result : results) threads.emplace_back([&] { result = text(); });
  threads.clear();
  for (const auto& result : results) EXPECT_EQ(result, text());
}

TEST(WorldsQuestions, ExpressionsMeanExactlyTheirTarget) {
  std::map<std::string, int> kinds;
  for_each_question(Task::kRefer, [&](const Scene& scene, const Question& question) {
    ++kinds[question.kind];
    const Reader reader(scene);
    const auto found = reader.target(question.expression);
    ASSERT_TRUE(found) << question.expression << ", seed " << scene.seed;
    ASSERT_EQ(question.targets.size(), 1u);
    EXPECT_EQ(*found, question.targets[0]) << question.expression << ", seed " << scene.seed;
    const Exchange& turn = question.turns[0];
    EXPECT_EQ(mentioned(turn.answer), question.targets);
    EXPECT_EQ(words_of(turn.question, 0), question.expression);
  });
  for (const char* kind : {"attr", "rel", "sup", "ord"}) EXPECT_GT(kinds[kind], 300) << kind;
}

TEST(WorldsQuestions, NoExpressionComesTwice) {
  QuestionCounts counts;
  counts.attribute = counts.relation = counts.superlative = counts.ordinal = 4;
  counts.ground = 4;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const Scene scene = scene_of(World::kShapes, seed);
    Random random(seed);
    std::set<std::string> seen;
    for (const auto& question : questions(scene, random, counts)) {
      if (question.task != Task::kRefer && question.task != Task::kGround) continue;
      EXPECT_TRUE(seen.insert(question.expression).second) << question.expression;
    }
  }
}

TEST(WorldsQuestions, ExpressionsStayTrueWhenBoxesMoveALittle) {
  for_each_question(Task::kRefer, [](const Scene& scene, const Question& question) {
    if (question.expression.find("touching") != std::string::npos) return;  // is about pixels
    for (std::uint64_t seed = 0; seed < 4; ++seed) {
      const Scene moved = testing::jittered_scene(scene, seed);
      const auto found = Reader(moved).target(question.expression);
      ASSERT_TRUE(found) << question.expression << ", seed " << scene.seed;
      EXPECT_EQ(*found, question.targets[0]) << question.expression << ", seed " << scene.seed;
    }
  });
}

TEST(WorldsQuestions, BlindCandidatesAreThoseOfTheTargetsOwnWords) {
  for_each_question(Task::kRefer, [](const Scene& scene, const Question& question) {
    const bool has_target =
        std::count(question.blind.begin(), question.blind.end(), question.targets[0]) == 1;
    EXPECT_TRUE(has_target) << question.expression;
    EXPECT_TRUE(std::is_sorted(question.blind.begin(), question.blind.end()));
    EXPECT_GE(question.blind.size(), question.kind == "attr" ? 1u : 2u) << question.expression;
    if (question.kind == "attr") return;
    // The step by step answer names the anchor or all candidates, and ends with the target.
    const Utterance& steps = question.turns[0].steps;
    ASSERT_EQ(steps.mentions.size(), 2u);
    EXPECT_EQ(steps.mentions[1].objects, question.targets);
    std::vector<int> first = steps.mentions[0].objects;
    std::sort(first.begin(), first.end());
    EXPECT_EQ(first, question.kind == "rel" ? question.anchors : question.blind);
    if (question.kind == "rel") {
      EXPECT_EQ(Reader(scene).target(words_of(steps, 0)), question.anchors[0]);
    }
  });
}

TEST(WorldsQuestions, CategoriesHaveAllTheirObjects) {
  const int count = for_each_question(Task::kGround, [](const Scene& scene, const Question& it) {
    EXPECT_EQ(Reader(scene).fitting(it.expression), it.targets) << it.expression;
    EXPECT_EQ(mentioned(it.turns[0].answer), it.targets);
    EXPECT_GE(it.targets.size(), 1u);
    EXPECT_LE(it.targets.size(), 9u);
    const std::string asked = words_of(it.turns[0].question, 0);
    EXPECT_TRUE(asked == it.expression || asked == plural(it.expression)) << asked;
  });
  EXPECT_GT(count, 200);
}

TEST(WorldsQuestions, CaptionsDescribeTheirObject) {
  const int count = for_each_question(Task::kCaption, [](const Scene& scene, const Question& it) {
    EXPECT_EQ(mentioned(it.turns[0].question), it.targets);
    EXPECT_EQ(it.turns[0].answer.text, it.expected);
    const std::string words = without_article(it.expected);
    const auto fitting = Reader(scene).fitting(words);
    EXPECT_EQ(std::count(fitting.begin(), fitting.end(), it.targets[0]), 1) << it.expected;
    const SceneObject& object = scene.objects[it.targets[0]];
    for (const auto* word : {&object.size, &object.color, &object.texture, &object.kind}) {
      EXPECT_NE(words.find(*word), std::string::npos) << it.expected;
    }
  });
  EXPECT_GT(count, 200);
}

TEST(WorldsQuestions, DescriptionsNameEveryObjectOnce) {
  const int count = for_each_question(Task::kDescribe, [](const Scene& scene, const Question& it) {
    const Utterance& answer = it.turns[0].answer;
    std::vector<int> objects = mentioned(answer);
    std::sort(objects.begin(), objects.end());
    std::vector<int> all(scene.objects.size());
    std::iota(all.begin(), all.end(), 0);
    EXPECT_EQ(objects, all);
    EXPECT_TRUE(it.turns[0].grounded);
    EXPECT_TRUE(answer.is_list);
    for (std::size_t i = 0; i < answer.mentions.size(); ++i) {
      const std::string words = without_article(words_of(answer, i));
      for (const int object : answer.mentions[i].objects) {
        const std::string& kind = scene.objects[object].kind;
        EXPECT_TRUE(words.ends_with(kind) || words == plural(kind)) << words;
        if (it.kind == "groups") continue;
        const auto fitting = Reader(scene).fitting(words);
        EXPECT_EQ(std::count(fitting.begin(), fitting.end(), object), 1) << words;
      }
    }
  });
  EXPECT_GT(count, 200);
}

TEST(WorldsQuestions, CountsAreRight) {
  std::set<std::string> numbers;
  for_each_question(Task::kCount, [&](const Scene& scene, const Question& it) {
    const auto found = Reader(scene).fitting(it.expression);
    EXPECT_EQ(it.expected, kNumbers[found.size()]);
    EXPECT_NE(it.turns[0].answer.text.find(it.expected), std::string::npos);
    EXPECT_EQ(words_of(it.turns[0].question, 0), plural(it.expression));
    EXPECT_EQ(mentioned(it.turns[0].steps), found);
    numbers.insert(it.expected);
  });
  EXPECT_GE(numbers.size(), 7u);
}

TEST(WorldsQuestions, YesAndNoAreTrueAndAboutAsFrequent) {
  int yes = 0;
  const int count = for_each_question(Task::kYesNo, [&](const Scene& scene, const Question& it) {
    const bool said = it.expected == "yes";
    yes += said ? 1 : 0;
    EXPECT_EQ(it.turns[0].answer.text, said ? "Yes." : "No.");
    const Utterance& question = it.turns[0].question;
    const Reader reader(scene);
    bool truth = false;
    if (it.kind == "exists") {
      truth = !reader.fitting(without_article(words_of(question, 0))).empty();
    } else if (it.kind == "property") {
      const SceneObject& object = scene.objects[it.targets[0]];
      std::string word = question.text.substr(question.text.rfind(' ') + 1);
      word.pop_back();  // ?
      truth = word == object.color || word == object.texture || word == object.size;
    } else {
      const auto first = reader.target(words_of(question, 0));
      const auto second = reader.target(words_of(question, 1));
      ASSERT_TRUE(first && second) << question.text;
      for (const char* side : {"left", "right", "above", "below"}) {
        if (question.text.find(std::string(" ") + side + " ") == std::string::npos) continue;
        truth = reader.beside(*first, *second, side);
      }
    }
    EXPECT_EQ(truth, said) << question.text << ", seed " << scene.seed;
  });
  EXPECT_GT(yes, 0.42 * count);
  EXPECT_LT(yes, 0.58 * count);
}

TEST(WorldsQuestions, WhatIsAbsentIsNotThere) {
  int nearly = 0;
  const int count = for_each_question(Task::kAbsent, [&](const Scene& scene, const Question& it) {
    const Reader reader(scene);
    EXPECT_TRUE(reader.fitting(it.expression).empty()) << it.expression;
    EXPECT_TRUE(it.targets.empty());
    EXPECT_TRUE(it.turns[0].answer.mentions.empty());
    EXPECT_EQ(it.turns[0].answer.text, "There is no " + it.expression + ".");
    // Its kind is there, only not in that colour, texture or size.
    const auto words = Reader::split(it.expression);
    if (words.size() > 1 && !reader.fitting(words.back()).empty()) ++nearly;
  });
  EXPECT_GT(count, 200);
  EXPECT_GT(nearly, count / 5);
}

TEST(WorldsQuestions, DialoguesHaveSeveralTurns) {
  const int count = for_each_question(Task::kDialogue, [](const Scene& scene, const Question& it) {
    EXPECT_GE(it.turns.size(), 2u);
    EXPECT_LE(it.turns.size(), 4u);
    for (const auto& turn : it.turns) {
      EXPECT_FALSE(turn.question.text.empty());
      EXPECT_FALSE(turn.answer.text.empty() && turn.answer.mentions.empty());
      for (const int object : mentioned(turn.answer)) {
        EXPECT_LT(object, static_cast<int>(scene.objects.size()));
      }
    }
  });
  EXPECT_GT(count, 200);
}

TEST(WorldsQuestions, TagsStandAroundWordsAndObjects) {
  Utterance utterance{"I see a star and two dots.", {{6, 12, {4}}, {17, 25, {1, 0}}}, true};
  EXPECT_EQ(tagged(utterance, Speaker::kAssistant, number),
            "I see <p>a star</p><roi><r4></roi> and <p>two dots</p><roi><r1><r0></roi>.");
  const Utterance asked{"What is ?", {{8, 8, {2}}}, false};
  EXPECT_EQ(tagged(asked, Speaker::kUser, number), "What is <r2>?");
  const Utterance bare{"", {{0, 0, {2}}}, false};
  EXPECT_EQ(tagged(bare, Speaker::kAssistant, number), "<roi><r2></roi>");
}

TEST(WorldsQuestions, ListsFollowTheOrderOfRegions) {
  const Utterance list{"I see a star and two dots.", {{6, 12, {4}}, {17, 25, {1, 0}}}, true};
  const std::vector<int> rank{0, 1, 2, 3, 4};
  EXPECT_EQ(tagged(in_order(list, rank), Speaker::kAssistant, number),
            "I see <p>two dots</p><roi><r0><r1></roi> and <p>a star</p><roi><r4></roi>.");
  Utterance fixed = list;
  fixed.is_list = false;
  EXPECT_EQ(tagged(in_order(fixed, rank), Speaker::kAssistant, number),
            "I see <p>a star</p><roi><r4></roi> and <p>two dots</p><roi><r0><r1></roi>.");
  fixed.mentions[1].in_sequence = true;
  EXPECT_EQ(in_order(fixed, rank).mentions[1].objects, (std::vector<int>{1, 0}));
}

TEST(WorldsQuestions, PluralsAndArticles) {
  EXPECT_EQ(plural("red cross"), "red crosses");
  EXPECT_EQ(plural("small box"), "small boxes");
  EXPECT_EQ(plural("butterfly"), "butterflies");
  EXPECT_EQ(plural("key"), "keys");
  EXPECT_EQ(plural("mouse"), "mice");
  EXPECT_EQ(plural("sheep"), "sheep");
  EXPECT_EQ(plural("ladybug"), "ladybugs");
  EXPECT_EQ(with_article("orange star"), "an orange star");
  EXPECT_EQ(with_article("unicorn"), "a unicorn");
  EXPECT_EQ(with_article("outlined heart"), "an outlined heart");
}

TEST(WorldsQuestions, VocabularyHoldsEveryWordOfEveryQuestion) {
  const auto letters_only = [](const std::string& text) {
    std::string result;
    for (const char c : text) result += std::isalpha(static_cast<unsigned char>(c)) ? c : ' ';
    return result;
  };
  for (const World world : drawable_worlds()) {
    std::set<std::string> known;
    for (const auto& sentence : vocabulary_sentences(world, 200)) {
      for (const auto& word : Reader::split(letters_only(sentence))) known.insert(word);
    }
    QuestionCounts counts;
    for (std::uint64_t seed = 5000; seed < 5200; ++seed) {
      const Scene scene = scene_of(world, seed);
      Random random(seed);
      for (const auto& question : questions(scene, random, counts)) {
        for (const auto& turn : question.turns) {
          for (const auto* text : {&turn.question, &turn.answer, &turn.steps}) {
            for (const auto& word : Reader::split(letters_only(text->text))) {
              EXPECT_TRUE(known.contains(word)) << word;
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace groma::train
