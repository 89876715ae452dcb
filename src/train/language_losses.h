#pragma once

#include "train/packed_questions.h"
#include "train/stage.h"

namespace groma::train {

/// Next-token loss of the answers, and how often the best token is the right one.
struct AnswerLoss {
  at::Tensor loss;  ///< mean over all answers' tokens
  std::vector<at::Tensor>
      right;  ///< per scene, [rows] bool on the CPU: predicted rightly; true without target
};
AnswerLoss answer_loss(GromaModelImpl& model, const std::vector<PackedQuestions>& packs,
                       const PackedOutput& output);

/// At each region's feature in the first turn: predict its own <rK>.
at::Tensor copy_loss(GromaModelImpl& model, const std::vector<PackedQuestions>& packs,
                     const PackedOutput& output, int64_t region_first);

/// One head of a layer looks at the feature of the region that is named next, and before an answer
/// at those that fit the question; one head of an earlier layer looks, from an answer's <rK>, at
/// region K. Mean negative log attention.
///
/// The scores are computed again from the layers' inputs, in float: the forward is untouched.
at::Tensor attention_loss(GromaModelImpl& model, const std::vector<PackedQuestions>& packs,
                          const PackedOutput& output);

/// Half way up, through the final norm and head: regions' features hold the words of their objects
/// and pointing positions the words that the text uses.
///
/// words_of  per scene and region the ids of its object's words, empty where it shows none
at::Tensor bag_loss(GromaModelImpl& model, const std::vector<PackedQuestions>& packs,
                    const PackedOutput& output,
                    const std::vector<std::vector<std::vector<int64_t>>>& words_of);

}  // namespace groma::train
