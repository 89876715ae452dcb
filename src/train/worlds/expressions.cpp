#include "train/worlds/expressions.h"

#include <algorithm>
#include <array>

#include "train/worlds/relations.h"
#include "train/worlds/utterance.h"
#include "train/worlds/words.h"

namespace groma::train {
namespace {

constexpr int kTries = 40;

/// An object, mostly one with two or more others of its kind.
int random_target(const Scene& scene, Random& random) {
  const auto& objects = scene.objects;
  int target = 0;
  for (int i = 0; i < 4; ++i) {
    target = random.below(static_cast<int>(objects.size()));
    const auto alike = std::count_if(objects.begin(), objects.end(), [&](const SceneObject& other) {
      return other.kind == objects[target].kind;
    });
    if (alike >= 3) break;
  }
  return target;
}

std::vector<int> without(std::vector<int> objects, int object) {
  objects.erase(std::remove(objects.begin(), objects.end(), object), objects.end());
  return objects;
}

struct Relation {
  std::string words;  ///< "to the left of"
  std::string to_it;  ///< "to the left of it"
  Side side = Side::kLeft;
  enum { kBeside, kNearest, kTouching } sort = kBeside;
};

Relation random_relation(Random& random) {
  Relation relation;
  const double x = random.uniform();
  if (x < 0.2) {
    relation.sort = Relation::kNearest;
    relation.words = random.chance(0.5) ? "nearest to" : "closest to";
  } else if (x < 0.34) {
    relation.sort = Relation::kTouching;
    relation.words = "touching";
  } else {
    constexpr std::array<const char*, 4> kWords{"to the left of", "to the right of", "above",
                                                "below"};
    const int side = random.below(4);
    relation.side = kSides[side];
    relation.words = kWords[side];
  }
  relation.to_it = relation.words + " it";
  return relation;
}

/// The only candidate of which the relation clearly holds, while it clearly does not of the others.
std::optional<int> related(const Scene& scene, const std::vector<int>& candidates, int anchor,
                           const Relation& relation) {
  if (relation.sort == Relation::kNearest) return nearest(scene, candidates, anchor);
  std::vector<Truth> touches;
  if (relation.sort == Relation::kTouching) touches = touching(scene, anchor);
  std::optional<int> found;
  for (const int candidate : candidates) {
    const Truth truth = relation.sort == Relation::kTouching
                            ? touches[candidate]
                            : is_beside(scene, candidate, anchor, relation.side);
    if (truth == Truth::kUnclear || (truth == Truth::kYes && found)) return {};
    if (truth == Truth::kYes) found = candidate;
  }
  return found;
}

std::string extreme_word(Extreme which, Random& random) {
  switch (which) {
    case Extreme::kLargest:
      return random.chance(0.7) ? "largest" : "biggest";
    case Extreme::kSmallest:
      return "smallest";
    case Extreme::kLeftmost:
      return "leftmost";
    case Extreme::kRightmost:
      return "rightmost";
    case Extreme::kTopmost:
      return random.chance(0.7) ? "topmost" : "highest";
    default:
      return random.chance(0.7) ? "bottommost" : "lowest";
  }
}

}  // namespace

bool fits(const SceneObject& object, const Words& words) {
  return (words.kind.empty() || words.kind == object.kind) &&
         (words.color.empty() || words.color == object.color) &&
         (words.texture.empty() || words.texture == object.texture) &&
         (words.size.empty() || words.size == object.size);
}

std::vector<int> fitting(const Scene& scene, const Words& words) {
  std::vector<int> result;
  for (std::size_t i = 0; i < scene.objects.size(); ++i) {
    if (fits(scene.objects[i], words)) result.push_back(static_cast<int>(i));
  }
  return result;
}

std::string generic_kind(const Scene& scene) {
  return scene.world == World::kShapes ? "shape" : "thing";
}

std::string phrase(const Scene& scene, const Words& words) {
  std::string text;
  for (const auto* word : {&words.size, &words.color, &words.texture}) {
    if (!word->empty()) text += *word + " ";
  }
  return text + (words.kind.empty() ? generic_kind(scene) : words.kind);
}

Words words_of(const SceneObject& object) {
  return {object.size, object.color, object.texture, object.kind};
}

Words some_words(const Scene& scene, int object, Random& random) {
  Words words = words_of(scene.objects[object]);
  // A thing's colour is known for its own kind only, hence always named together with the kind.
  const bool nameless = scene.world == World::kShapes && random.chance(1.0 / 6);
  if (nameless) words.kind.clear();
  if (random.chance(0.62)) words.size.clear();
  if (random.chance(0.45)) words.color.clear();
  if (random.chance(0.62)) words.texture.clear();
  return words;
}

std::optional<Words> unique_words(const Scene& scene, int object, Random& random) {
  for (int i = 0; i < 8; ++i) {
    Words words = some_words(scene, object, random);
    if (fitting(scene, words).size() == 1) return words;
  }
  Words all = words_of(scene.objects[object]);
  if (fitting(scene, all).size() == 1) return all;
  return {};
}

std::optional<Expression> attribute_expression(const Scene& scene, Random& random) {
  for (int i = 0; i < kTries / 4; ++i) {
    const int target = random_target(scene, random);
    const std::optional<Words> words = unique_words(scene, target, random);
    if (!words) continue;
    return Expression{"attr", "the " + phrase(scene, *words), target, {}, {target}, {}};
  }
  return {};
}

std::optional<Expression> relation_expression(const Scene& scene, Random& random) {
  const auto count = static_cast<int>(scene.objects.size());
  if (count < 3) return {};
  for (int i = 0; i < kTries; ++i) {
    const Words words = some_words(scene, random_target(scene, random), random);
    const int anchor = random.below(count);
    const std::vector<int> candidates = without(fitting(scene, words), anchor);
    if (candidates.size() < 2) continue;
    const std::optional<Words> anchor_words = unique_words(scene, anchor, random);
    if (!anchor_words) continue;
    const Relation relation = random_relation(random);
    const std::optional<int> target = related(scene, candidates, anchor, relation);
    if (!target) continue;

    const std::string name = "the " + phrase(scene, *anchor_words);
    const std::string own = "the " + phrase(scene, words) + " ";
    const Utterance steps =
        Speech().mention(name, {anchor}).say(", then ").mention(own + relation.to_it, {*target});
    return Expression{"rel", own + relation.words + " " + name, *target, {anchor}, candidates,
                      steps};
  }
  return {};
}

std::optional<Expression> superlative_expression(const Scene& scene, Random& random) {
  for (int i = 0; i < kTries; ++i) {
    Words words = some_words(scene, random_target(scene, random), random);
    const Extreme which = random.pick(kExtremes);
    if (which == Extreme::kLargest || which == Extreme::kSmallest) words.size.clear();
    const std::vector<int> candidates = fitting(scene, words);
    if (candidates.size() < 2 || (candidates.size() == 2 && random.chance(0.6))) continue;
    const std::optional<int> target = extreme(scene, candidates, which);
    if (!target) continue;

    const std::string word = extreme_word(which, random);
    const Utterance steps = Speech()
                                .mention(plural(phrase(scene, words)), candidates)
                                .say(", then ")
                                .mention("the " + word + " one", {*target});
    return Expression{"sup",      "the " + word + " " + phrase(scene, words),
                      *target,    without(candidates, *target),
                      candidates, steps};
  }
  return {};
}

std::optional<Expression> ordinal_expression(const Scene& scene, Random& random) {
  constexpr std::array<const char*, 4> kFrom{"left", "right", "top", "bottom"};
  for (int i = 0; i < kTries; ++i) {
    const Words words = some_words(scene, random_target(scene, random), random);
    const std::vector<int> candidates = fitting(scene, words);
    if (candidates.size() < 3) continue;
    const int side = random.below(4);
    const auto ordered = sequence(scene, candidates, kSides[side]);
    if (!ordered) continue;

    const int last = static_cast<int>(std::min(candidates.size(), kOrdinals.size())) - 1;
    const int place = random.chance(0.1) ? 0 : random.between(1, last);
    const int target = (*ordered)[place];
    const std::string from = std::string(" from the ") + kFrom[side];
    const std::string ordinal = "the " + std::string(kOrdinals[place]) + " ";
    const Utterance steps = Speech()
                                .mention(plural(phrase(scene, words)) + from, *ordered, true)
                                .say(", then ")
                                .mention(ordinal + "one", {target});
    return Expression{"ord",      ordinal + phrase(scene, words) + from,
                      target,     without(candidates, target),
                      candidates, steps};
  }
  return {};
}

}  // namespace groma::train
