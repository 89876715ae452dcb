#pragma once

#include "train/stage.h"
#include "train/worlds/scene.h"

namespace groma::train {

/// Stage 1: boxes, and the words of true boxes read from region tokens.
///
/// device  of the model
/// throws  Error when the data are annotated in two ways and the recipe's score heads are not
Stage detection_stage(const Recipe& recipe, const ModelConfig& config, const StageData& data,
                      uint64_t seed, at::Device device);

/// Recall and precision of proposals, added to `metrics` as sums.
///
/// boxes_cxcywh [Q, 4], scores [Q], truth [G, 4]
void add_proposal_metrics(Metrics& metrics, const at::Tensor& boxes_cxcywh,
                          const at::Tensor& scores, const at::Tensor& truth,
                          const SelectConfig& select);

World world_named(const std::string& name);

}  // namespace groma::train
