#include <string>
#include <vector>

#include "train/worlds/expressions.h"
#include "train/worlds/questions.h"
#include "train/worlds/things.h"
#include "train/worlds/words.h"

namespace groma::train {
namespace {

template <typename List>
std::vector<std::string> strings(const List& list) {
  return {list.begin(), list.end()};
}

void add_utterance(const Utterance& utterance, std::vector<std::string>& sentences) {
  if (!utterance.text.empty()) sentences.push_back(utterance.text);
}

/// Every kind in the forms in which text can hold it, whether or not a scene shows it.
void add_kinds(World world, std::vector<std::string>& sentences) {
  const auto groups = attribute_words(world);
  std::vector<std::string> kinds = groups[3];
  kinds.emplace_back(world == World::kThings ? "thing" : "shape");
  Random random(1);
  for (const auto& kind : kinds) {
    std::string words = random.pick(groups[0]) + " " + random.pick(groups[1]) + " ";
    if (!groups[2].empty()) words += random.pick(groups[2]) + " ";
    sentences.push_back("Where is the " + words + kind + "?");
    sentences.push_back("I see " + with_article(kind) + " and " + std::string(kNumbers[2]) + " " +
                        plural(kind) + ".");
    sentences.push_back("There is no " + words + kind + ".");
  }
  for (const auto number : kNumbers) sentences.push_back("There are " + std::string(number) + ".");
  for (const auto ordinal : kOrdinals) {
    sentences.push_back("the " + std::string(ordinal) + " " + kinds[0] + " from the left");
  }
}

}  // namespace

std::vector<std::vector<std::string>> attribute_words(World world) {
  std::vector<std::string> textures;
  std::vector<std::string> kinds;
  if (world != World::kThings) {
    textures = strings(kTextures);
    kinds = strings(kShapeKinds);
  }
  if (world != World::kShapes) {
    kinds.insert(kinds.end(), thing_kinds().begin(), thing_kinds().end());
  }
  return {strings(kSizes), strings(kColors), textures, kinds};
}

std::vector<std::string> vocabulary_sentences(World world, int scenes) {
  std::vector<std::string> sentences;
  WorldOptions options;
  options.size = 64;  // the words do not depend on it, the time does
  for (const World one : {World::kShapes, World::kThings}) {
    if (world != World::kBoth && world != one) continue;
    add_kinds(one, sentences);
    options.world = one;
    for (int i = 0; i < scenes; ++i) {
      const Scene scene = draw_scene(options, static_cast<std::uint64_t>(i));
      Random random(static_cast<std::uint64_t>(i));
      for (const auto& question : questions(scene, random, {})) {
        for (const auto& turn : question.turns) {
          for (const auto* text : {&turn.question, &turn.answer, &turn.steps}) {
            add_utterance(*text, sentences);
          }
        }
      }
    }
  }
  return sentences;
}

}  // namespace groma::train
