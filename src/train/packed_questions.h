#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "model.h"
#include "train/grounded_text.h"
#include "train/region_samples.h"

namespace groma::train {

/// Several questions about one scene behind one shared first turn, all in one sequence: a question
/// sees the first turn and itself, and its positions go on where the first turn ends.
struct PackedQuestions {
  std::vector<int64_t> ids, positions;
  std::vector<int64_t> source;            ///< per row: -1 token, -2 - i image token i, else region
  std::vector<int64_t> targets;           ///< per row, -1: none
  std::vector<int64_t> question_of;       ///< per row, -1: first turn
  std::vector<int64_t> feature_row;       ///< of each region, in the first turn
  std::vector<Pointer> pointers;          ///< with rows of this pack
  std::vector<int64_t> pointer_question;  ///< whose each pointer is
  std::vector<std::pair<int64_t, int64_t>> named, anchors, links;
  std::vector<Decision> decisions;
  std::vector<std::string> kinds;  ///< of each question
  at::Tensor mask;                 ///< [rows, rows] bool

  int64_t rows() const { return static_cast<int64_t>(ids.size()); }
};

/// device  of the mask
PackedQuestions pack_questions(const QuestionWriter& writer, int64_t image_tokens, int64_t regions,
                               const std::vector<QuestionRows>& questions, at::Device device);

/// The network's outputs for packs of several scenes, one after the other.
struct PackedOutput {
  std::vector<at::Tensor> hidden;  ///< of every layer, [rows of all, H]
  at::Tensor last;                 ///< after the final norm
  at::Tensor positions;            ///< [rows of all]
  std::vector<int64_t> first_row;  ///< of each scene
};

/// half  matrix products in bfloat16, all else in float (autocast)
PackedOutput run_packed(GromaModelImpl& model, const std::vector<PackedQuestions>& packs,
                        const std::vector<SceneRegions>& regions, bool half);

}  // namespace groma::train
