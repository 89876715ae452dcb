#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "language/tokenizer.h"
#include "train/worlds/questions.h"

namespace groma::train {

/// A position that names a region next: where its answer must look.
struct Pointer {
  int64_t position = 0;  ///< row of the question that predicts <rK> or a phrase about it
  int64_t region = 0;    ///< K
  bool last = false;     ///< the last region of the last answer: what a referring question is about
  bool second_hop = false;     ///< found by way of other regions that the answer does not name
  std::vector<int64_t> words;  ///< ids of the words that the text uses for the region's object
};

/// A position that settles how an answer begins: by looking at the regions that fit the question,
/// or at the sequence's first row where none does.
struct Decision {
  int64_t position = 0;          ///< row before the answer
  std::vector<int64_t> regions;  ///< those that the answer names first; none: "There is no ..."
  std::vector<int64_t> words;    ///< ids of the words that were asked for
};

/// One question with its answers as the rows that follow the shared prefix.
struct QuestionRows {
  std::vector<int64_t> ids;
  std::vector<int64_t> feature_of;  ///< per row: region whose feature stands there, else -1
  std::vector<int64_t> targets;     ///< per row: id to predict, -1 where nothing is learnt
  std::vector<Pointer> pointers;
  std::vector<std::pair<int64_t, int64_t>> named;    ///< rows of the answer that hold <rK>, and K
  std::vector<std::pair<int64_t, int64_t>> anchors;  ///< rows of a question's </p>, and the region
                                                     ///< that its words lead by way of
  std::vector<std::pair<int64_t, int64_t>> links;    ///< rows that go on from another one, and that
                                                   ///< row; -1 where nothing is found to go on from
  std::vector<Decision> decisions;
  std::string kind;  ///< Question::kind, for metrics
};

/// Makes rows of questions in the published conversation.
class QuestionWriter {
 public:
  explicit QuestionWriter(const Tokenizer& tokenizer);

  /// The first turn, up to its </s>: image and regions expanded.
  ///
  /// feature_of receives per row -2 - i for image token i, the region, or -1
  std::vector<int64_t> prefix(int64_t image_tokens, int64_t regions,
                              std::vector<int64_t>& feature_of) const;

  /// region_of  region of each object of the scene, -1 where none covers it
  /// steps      a referring question's answer first names what it builds on; it is then asked for
  ///            with [grounding]
  /// marked     what a question looks for stands in <p></p>, as evaluation protocols write it;
  ///            people who type do not
  /// returns    false when a region that the question needs is missing
  bool write(const Scene& scene, const Question& question, const std::vector<int64_t>& region_of,
             bool steps, bool marked, QuestionRows& rows) const;

  /// Ids of the words that describe an object.
  std::vector<int64_t> words_of(const SceneObject& object) const;

  const Tokenizer& tokenizer() const { return tokenizer_; }

 private:
  /// A turn with the answer that was chosen for it.
  struct ChosenTurn {
    const Utterance* question;
    const Utterance* answer;
    bool grounded;
    bool second_hop;
    bool marked;
    bool finds_nothing;  ///< the picture does not show what is asked for
    bool linked;         ///< the answer's last region is found by way of its first
  };
  void add_turn(const Scene& scene, const ChosenTurn& turn, const std::vector<int64_t>& region_of,
                const std::string& words, QuestionRows& rows) const;
  /// The row before "yes" or "no" looks for what was just stated: in the question a word, in the
  /// answer the region that it named first.
  void link_verdict(const std::vector<int64_t>& verdicts, QuestionRows& rows) const;
  std::vector<int64_t> word_ids(const std::string& word) const;
  std::vector<int64_t> ids_of(const std::vector<std::string>& words) const;

  const Tokenizer& tokenizer_;
  std::vector<int64_t> first_turn_;
};

}  // namespace groma::train
