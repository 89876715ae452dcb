#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "regions/proposer.h"
#include "train/score_heads.h"

namespace groma::train {

/// How the parts of the detection loss and of the matching cost weigh.
struct DetectionWeights {
  double classification = 2;
  double l1 = 5;
  double giou = 2;
};

/// Annotation of one image.
struct BoxTruth {
  at::Tensor boxes_cxcywh;  ///< [G, 4] float in [0, 1]
  bool segments = false;    ///< annotated as SA-1B is: everything, parts too (kAnnotation)
};

/// Sums over the batch, each divided by the number of true boxes.
struct DetectionLoss {
  at::Tensor total;           ///< weighted sum over the first stage and all decoder layers
  at::Tensor classification;  ///< of the last layer
  at::Tensor l1;              ///< of the last layer
  at::Tensor giou;            ///< of the last layer
};

/// Generalised IoU of boxes in pairs.   a [M, 4], b [M, 4] xyxy -> [M] in [-1, 1]
///
/// source  Rezatofighi et al. 2019
at::Tensor paired_giou(const at::Tensor& a_xyxy, const at::Tensor& b_xyxy);
/// Plain IoU of boxes in pairs.   a [M, 4], b [M, 4] xyxy -> [M]
at::Tensor paired_iou(const at::Tensor& a_xyxy, const at::Tensor& b_xyxy);

/// Focal loss of each element.   logits, targets [...] -> [...]
///
/// source  Lin et al. 2017, equation 5
at::Tensor focal_loss(const at::Tensor& logits, const at::Tensor& targets, double alpha = 0.25,
                      double gamma = 2);

/// Quality focal loss of each element: targets anywhere in [0, 1].
///
/// source  Li et al. 2020, equation 4
at::Tensor quality_focal_loss(const at::Tensor& logits, const at::Tensor& targets, double beta = 2);

/// Cost of pairing each prediction of one image with each true box.
///
/// logits [Q], boxes_cxcywh [Q, 4], truth_cxcywh [G, 4] -> [Q, G]
/// source  Zhu et al. 2021 (focal class cost), Carion et al. 2020
at::Tensor matching_cost(const at::Tensor& logits, const at::Tensor& boxes_cxcywh,
                         const at::Tensor& truth_cxcywh, const DetectionWeights& weights);

/// The loss of Deformable DETR with two stages: one to one matching of the first stage and of every
/// decoder layer.
///
/// truth   one of each image; an image may have no box
/// throws  Error when a prediction is not finite: training diverges
DetectionLoss detection_loss(ProposerImpl& proposer, const Proposals& proposals,
                             const std::vector<BoxTruth>& truth, const DetectionWeights& weights,
                             ScoreHeads heads);

}  // namespace groma::train
