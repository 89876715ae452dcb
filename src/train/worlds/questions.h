#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "train/worlds/random.h"
#include "train/worlds/scene.h"

namespace groma::train {

/// Words of an utterance and the objects that they stand for.
struct Mention {
  int begin = 0;  ///< byte range of the words in Utterance::text
  int end = 0;    ///< equal to begin: objects without words
  std::vector<int> objects;
  bool in_sequence = false;  ///< the objects' order is part of the answer
};

/// Text of one speaker, independent of region numbers.
///
/// Of a user: a mention with words is <p>words</p>; one without words is a referred region.
/// Of the assistant: <p>words</p><roi>regions</roi>, or <roi>regions</roi> without words.
struct Utterance {
  std::string text;
  std::vector<Mention> mentions;  ///< ascending, not overlapping
  bool is_list = false;           ///< the mentions may change places with one another
};

/// Objects of all mentions, one after the other.
std::vector<int> mentioned(const Utterance& utterance);

enum class Task {
  kRefer,     ///< referring expression -> one box
  kGround,    ///< category -> all its boxes
  kCaption,   ///< box -> "a small red striped star"
  kDescribe,  ///< all objects with their boxes
  kCount,     ///< "three"
  kYesNo,     ///< "yes" or "no"
  kAbsent,    ///< asks for what the picture does not show
  kDialogue,  ///< several turns
};

/// What one turn asks and answers. `steps` is a longer answer of the same truth that first names
/// what it builds on (the anchor, the candidates, the counted objects); empty where there is none.
struct Exchange {
  Utterance question;
  Utterance answer;
  Utterance steps;
  bool grounded = false;  ///< asks for text with boxes in it: [grounding] goes before the question
};

/// A question, or a dialogue of several, about a scene with one right answer.
struct Question {
  Task task = Task::kRefer;
  std::string kind;  ///< refer: "attr", "rel", "sup", "ord"; else the task's word, or what is asked
  std::vector<Exchange> turns;  ///< one, or several of a dialogue
  std::string expression;       ///< refer, ground, count, absent: the words for the targets
  std::vector<int> targets;     ///< objects of the right answer, ascending
  std::vector<int> anchors;     ///< refer: what the expression relates the target to, ascending
  std::vector<int> blind;       ///< refer: all objects that fit the target's own words, ascending
  std::string expected;         ///< caption, count ("three"), yes/no ("yes"): the answer to compare
};

/// How many questions of each sort are wanted; a scene gives fewer where none is unambiguous.
struct QuestionCounts {
  int attribute = 1;
  int relation = 1;
  int superlative = 1;
  int ordinal = 1;
  int ground = 1;
  int caption = 1;
  int describe = 1;
  int count = 1;
  int yes_no = 1;
  int absent = 1;
  int dialogue = 1;
};

/// Questions about a scene, each true with a clear margin, no two about the same.
///
/// Thread-safe; the same generator state gives the same questions.
std::vector<Question> questions(const Scene& scene, Random& random, const QuestionCounts& counts);

/// The utterance with objects in the order of `rank` (smaller first): inside every mention, and of
/// a list's mentions among each other.
///
/// rank      one number per object of the scene
Utterance in_order(const Utterance& utterance, std::span<const int> rank);

enum class Speaker { kUser, kAssistant };

/// Text with tags. Words become `<p>words</p>`; objects of the assistant `<roi>` + each
/// region(object) + `</roi>`; a user's objects region(object) alone.
std::string tagged(const Utterance& utterance, Speaker speaker,
                   const std::function<std::string(int)>& region);

/// Sentences that use every word of a world in its contexts, to train a tokenizer on.
///
/// throws    Error when the font of `things` is missing
std::vector<std::string> vocabulary_sentences(World world, int scenes = 500);

/// The words that describe objects, in fixed order: sizes, colours, textures, kinds.
///
/// returns   four groups; for kShapes and kThings those of that world, for kBoth the union
std::vector<std::vector<std::string>> attribute_words(World world);

}  // namespace groma::train
