#include <unordered_set>

#include "eval/box_curves.h"

namespace groma::eval {

BoxMetrics coco_metrics(const BoxTruth& truth, const std::vector<DetectedBox>& detections,
                        const BoxMetricOptions& options) {
  std::vector<std::string> warnings;
  check_boxes(truth, detections, options, warnings);
  BoxTruth ours = truth;
  // Quirk: pycocotools overwrites `ignore` by `iscrowd` (cocoeval.py, _prepare).
  for (TrueBox& box : ours.boxes) box.ignore = box.crowd;
  std::unordered_set<std::int64_t> listed;
  for (const BoxCategory& category : truth.categories) listed.insert(category.id);
  std::vector<const DetectedBox*> known;
  known.reserve(detections.size());
  for (const DetectedBox& box : detections) {
    if (listed.contains(box.category)) known.push_back(&box);
  }

  BoxMetrics metrics = box_curves(ours, known, {{1, 10, 100}, false}, options);
  metrics.warnings = std::move(warnings);
  for (const SummaryOf& of : {SummaryOf{"AP", true, -1, 0, 2},
                              {"AP50", true, 0, 0, 2},
                              {"AP75", true, 5, 0, 2},
                              {"APs", true, -1, 1, 2},
                              {"APm", true, -1, 2, 2},
                              {"APl", true, -1, 3, 2},
                              {"AR@1", false, -1, 0, 0},
                              {"AR@10", false, -1, 0, 1},
                              {"AR@100", false, -1, 0, 2},
                              {"ARs", false, -1, 1, 2},
                              {"ARm", false, -1, 2, 2},
                              {"ARl", false, -1, 3, 2}}) {
    metrics.summary.push_back(summarize(metrics, truth.categories, of));
  }
  return metrics;
}

}  // namespace groma::eval
