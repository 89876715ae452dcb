#pragma once

#include <optional>
#include <string>
#include <vector>

#include "train/worlds/expressions.h"
#include "train/worlds/questions.h"

namespace groma::train {

/// What ten generated tokens can name.
inline constexpr int kMostRegions = 9;

/// Words that fit between `least` and `most` objects of the scene.
std::optional<Words> shared_words(const Scene& scene, int least, int most, Random& random);

/// Words that fit no object, mostly though they nearly fit one.
std::optional<Words> absent_words(const Scene& scene, Random& random);

/// "Where is the red star?" and the region of `target`.
Exchange refer_turn(const std::string& expression, int target, const Utterance& steps,
                    Random& random);

/// The same about what is not there: "There is no red star."; one object or `all` are asked for.
Exchange absent_turn(const Scene& scene, const Words& words, bool all, Random& random);

/// "Locate all red stars in this image." and their regions.
Exchange ground_turn(const Scene& scene, const Words& words, Random& random);

/// The same about a category by name, in the words of evaluation protocols.
Exchange ground_turn(const std::string& category, std::vector<int> objects, Random& random);

/// "What is <box>?" and a caption.
Exchange caption_turn(const std::string& caption, int object, Random& random);

/// "What is <box>?" and "a small red striped star".
Exchange caption_turn(const Scene& scene, int object, Random& random);

/// "Describe the image." and all objects with their regions.
Exchange describe_turn(const Scene& scene, Random& random);

/// "Describe the image." and a caption whose phrases have regions.
Exchange describe_turn(Utterance caption, Random& random);

/// "Summarize the image." and the objects' kinds with their regions.
Exchange groups_turn(const Scene& scene, Random& random);

/// "How many red stars are there?", "There are three."
Exchange count_turn(const Scene& scene, const Words& words, Random& random);

/// "Is there a red star in the image?"
Exchange exists_turn(const Scene& scene, const Words& words, Random& random);

/// A dialogue of two or three such turns, later ones about what was named before.
std::optional<Question> ask_dialogue(const Scene& scene, Random& random);

/// An answer of one word.
Utterance yes_or_no(bool yes);

}  // namespace groma::train
