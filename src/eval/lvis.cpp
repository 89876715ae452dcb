#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "check.h"
#include "eval/box_curves.h"

namespace groma::eval {
namespace {

constexpr std::size_t kMaxDetections = 300;

/// The 300 best detections of each image that have a listed category and an area; ties go to those
/// listed first. The cut comes before the two filters.
std::vector<const DetectedBox*> best_per_image(const std::vector<DetectedBox>& detections,
                                               const std::vector<BoxCategory>& categories) {
  std::unordered_map<std::int64_t, std::vector<std::uint32_t>> by_image;
  for (std::uint32_t d = 0; d < detections.size(); ++d) by_image[detections[d].image].push_back(d);
  std::vector<char> keep(detections.size(), 1);
  for (auto& [image, of_image] : by_image) {
    if (of_image.size() <= kMaxDetections) continue;
    std::stable_sort(of_image.begin(), of_image.end(), [&](std::uint32_t a, std::uint32_t b) {
      return detections[a].score > detections[b].score;
    });
    for (std::size_t i = kMaxDetections; i < of_image.size(); ++i) keep[of_image[i]] = 0;
  }
  std::unordered_set<std::int64_t> listed;
  for (const BoxCategory& category : categories) listed.insert(category.id);
  std::vector<const DetectedBox*> out;
  out.reserve(detections.size());
  for (std::uint32_t d = 0; d < detections.size(); ++d) {
    const DetectedBox& box = detections[d];
    if (keep[d] && listed.contains(box.category) && box.bbox[2] * box.bbox[3] > 0) {
      out.push_back(&box);
    }
  }
  return out;
}

}  // namespace

BoxMetrics lvis_metrics(const BoxTruth& truth, const std::vector<DetectedBox>& detections,
                        const BoxMetricOptions& options) {
  require(options.use_categories, "compare boxes: LVIS rules need categories; use COCO rules");
  std::vector<std::string> warnings;
  check_boxes(truth, detections, options, warnings);
  BoxTruth ours = truth;
  std::erase_if(ours.boxes, [](const TrueBox& box) { return !(box.area > 0); });
  for (TrueBox& box : ours.boxes) box.crowd = false;

  BoxMetrics metrics = box_curves(ours, best_per_image(detections, truth.categories),
                                  {{static_cast<int>(kMaxDetections)}, true}, options);
  metrics.warnings = std::move(warnings);
  for (const SummaryOf& of : {SummaryOf{"AP", true, -1, 0, 0},
                              {"AP50", true, 0, 0, 0},
                              {"AP75", true, 5, 0, 0},
                              {"APs", true, -1, 1, 0},
                              {"APm", true, -1, 2, 0},
                              {"APl", true, -1, 3, 0},
                              {"APr", true, -1, 0, 0, 'r'},
                              {"APc", true, -1, 0, 0, 'c'},
                              {"APf", true, -1, 0, 0, 'f'},
                              {"AR", false, -1, 0, 0},
                              {"AR50", false, 0, 0, 0},
                              {"AR75", false, 5, 0, 0},
                              {"ARs", false, -1, 1, 0},
                              {"ARm", false, -1, 2, 0},
                              {"ARl", false, -1, 3, 0}}) {
    metrics.summary.push_back(summarize(metrics, truth.categories, of));
  }
  return metrics;
}

}  // namespace groma::eval
