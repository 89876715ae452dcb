#pragma once

#include <string>
#include <vector>

#include "eval/box_matching.h"

namespace groma::eval {

/// How COCO and LVIS differ, beyond what they do to their lists beforehand.
struct BoxRules {
  std::vector<int> max_detections;  ///< per category and image, ascending
  bool federated = false;           ///< drop what `negative` and the truth say nothing about
};

/// Matches every category and image and fills the arrays of BoxMetrics (no summary).
///
/// detections  all of listed categories, in the order of the file
/// Ids must have been checked (see check_boxes).
BoxMetrics box_curves(const BoxTruth& truth, const std::vector<const DetectedBox*>& detections,
                      const BoxRules& rules, const BoxMetricOptions& options);

/// Which entries a summary number is the mean of; -1: all of them.
struct SummaryOf {
  const char* name;
  bool precision;
  int threshold;       ///< index into kIouThresholds
  int area;            ///< index into kAreaRanges
  int max_detections;  ///< index
  char frequency = 0;  ///< only categories of this frequency
};

/// The interval is that of a mean over categories (normal); none with fewer than two.
Figure summarize(const BoxMetrics& metrics, const std::vector<BoxCategory>& categories,
                 const SummaryOf& of);

/// Refuses truths and detections that would change a denominator unseen: unknown or repeated ids,
/// numbers that are not finite. Warns of detections of categories that the truth does not list, and
/// of a truth of id 0.
void check_boxes(const BoxTruth& truth, const std::vector<DetectedBox>& detections,
                 const BoxMetricOptions& options, std::vector<std::string>& warnings);

}  // namespace groma::eval
