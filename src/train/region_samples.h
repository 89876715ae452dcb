#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "model.h"
#include "train/scene_batch.h"
#include "train/word_table.h"

namespace groma::train {

/// The regions of one scene in random order.
struct SceneRegions {
  at::Tensor boxes_cxcywh;         ///< [R, 4]
  at::Tensor tokens;               ///< [R, H] float
  at::Tensor image_tokens;         ///< [image tokens, H] float; undefined where not computed
  std::vector<int64_t> object_of;  ///< per region, -1: no object
  std::vector<int64_t> region_of;  ///< per object, -1: no region
};

/// Fills `object_of` and `region_of` from the boxes: each region shows the object that it overlaps
/// most, by an IoU above 0.5.
///
/// truth_cxcywh  [objects, 4] where the boxes lie
void match_objects(SceneRegions& regions, const at::Tensor& truth_cxcywh);

/// Regions as a perfect detector and encoder would give them, with boxes somewhat off and up to
/// five that show nothing. A region's token is the sum of its object's words and the embedding of
/// its box.
SceneRegions oracle_regions(GromaModelImpl& model, const Scene& scene, const WordTable& words,
                            Random& random);

/// Regions of a batch as the model finds them.
///
/// batch       moved to the model's device
/// with_truth  true boxes join the candidates at score 0.2, as in the original training
/// proposals   when given, receives the proposer's outputs, and vision encoder and proposer get
///             gradients; else they are frozen
std::vector<SceneRegions> seen_regions(GromaModelImpl& model, const SceneBatch& batch,
                                       bool with_truth, Random& random,
                                       Proposals* proposals = nullptr);

}  // namespace groma::train
