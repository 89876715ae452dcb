#pragma once

#include <optional>
#include <string>
#include <vector>

#include "train/worlds/questions.h"
#include "train/worlds/random.h"
#include "train/worlds/scene.h"

namespace groma::train {

/// Words that describe objects; an empty one says nothing about that property.
struct Words {
  std::string size;
  std::string color;
  std::string texture;
  std::string kind;
};

bool fits(const SceneObject& object, const Words& words);

/// Objects that the words describe, ascending.
std::vector<int> fitting(const Scene& scene, const Words& words);

/// "small red striped star"; without a kind "small red shape" or "small thing".
std::string phrase(const Scene& scene, const Words& words);

/// What any object may be called: "shape" or "thing".
std::string generic_kind(const Scene& scene);

/// All words of an object.
Words words_of(const SceneObject& object);

/// Some of the object's words, with its kind or (shapes alone, one time in six) without it.
Words some_words(const Scene& scene, int object, Random& random);

/// Words that describe this object and no other one; nothing when all its words fit another one.
std::optional<Words> unique_words(const Scene& scene, int object, Random& random);

/// A text that refers to exactly one object.
struct Expression {
  std::string kind;  ///< "attr", "rel", "sup", "ord"
  std::string text;  ///< "the star to the left of the blue circle"
  int target = 0;
  std::vector<int> anchors;  ///< rel: the anchor; sup, ord: the other candidates
  std::vector<int> blind;    ///< objects that fit the target's own words; an anchor of rel is none
  Utterance steps;           ///< the answer that names the anchor or the candidates first
};

/// Each tries at random; nothing when the scene seems to hold no clear case.
std::optional<Expression> attribute_expression(const Scene& scene, Random& random);
std::optional<Expression> relation_expression(const Scene& scene, Random& random);
std::optional<Expression> superlative_expression(const Scene& scene, Random& random);
std::optional<Expression> ordinal_expression(const Scene& scene, Random& random);

}  // namespace groma::train
