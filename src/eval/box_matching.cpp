#include "eval/box_matching.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace groma::eval {
namespace {

bool outside(double area, int range) {
  return area < kAreaRanges[range][0] || area > kAreaRanges[range][1];
}

/// One pass over the detections of a group at one area range.
class Matcher {
 public:
  Matcher(const BoxGroup& group, const std::vector<double>& ious, int range, bool strict)
      : group_(group), ious_(ious), range_(range), strict_(strict), ignored_(group.truths.size()) {
    for (std::size_t g = 0; g < ignored_.size(); ++g) {
      const TrueBox& truth = *group.truths[g];
      ignored_[g] = truth.ignore || outside(truth.area, range);
    }
    order_.resize(ignored_.size());
    std::iota(order_.begin(), order_.end(), 0);
    std::stable_partition(order_.begin(), order_.end(), [&](int g) { return !ignored_[g]; });
  }

  std::int64_t positives() const { return std::count(ignored_.begin(), ignored_.end(), char{0}); }

  void match(int threshold, std::vector<Verdict>& verdicts) {
    const auto bit = static_cast<std::uint16_t>(1u << threshold);
    taken_.assign(ignored_.size(), 0);
    for (std::size_t d = 0; d < verdicts.size(); ++d) {
      const int best = best_truth(d, kIouThresholds[threshold]);
      if (best >= 0) {
        taken_[best] = 1;
        if (ignored_[best]) verdicts[d].ignored[range_] |= bit;
      }
      // The reference tools note the truth's id and later ask whether it is not 0.
      const bool matched = best >= 0 && !(strict_ && group_.truths[best]->id == 0);
      if (matched) {
        verdicts[d].matched[range_] |= bit;
      } else if (!group_.exhaustive || outside(area(d), range_)) {
        verdicts[d].ignored[range_] |= bit;
      }
    }
  }

 private:
  double area(std::size_t d) const {
    return group_.detections[d]->bbox[2] * group_.detections[d]->bbox[3];
  }

  int best_truth(std::size_t d, double best_iou) const {
    int best = -1;
    const double* row = ious_.data() + d * ignored_.size();
    for (const int g : order_) {
      if (taken_[g] && !group_.truths[g]->crowd) continue;
      if (best >= 0 && !ignored_[best] && ignored_[g]) break;
      if (row[g] < best_iou) continue;  // of equal overlaps the later truth wins
      best_iou = row[g];
      best = g;
    }
    return best;
  }

  const BoxGroup& group_;
  const std::vector<double>& ious_;
  const int range_;
  const bool strict_;
  std::vector<char> ignored_;
  std::vector<int> order_;  // truths that count first
  std::vector<char> taken_;
};

}  // namespace

double iou_xywh(const XywhBox& detection, const XywhBox& truth, bool crowd) {
  const double width = std::fmin(detection[2] + detection[0], truth[2] + truth[0]) -
                       std::fmax(detection[0], truth[0]);
  if (width <= 0) return 0;
  const double height = std::fmin(detection[3] + detection[1], truth[3] + truth[1]) -
                        std::fmax(detection[1], truth[1]);
  if (height <= 0) return 0;
  const double shared = width * height;
  const double detection_area = detection[2] * detection[3];
  // This order of operations, without fused multiply-add, is that of pycocotools.
  return shared / (crowd ? detection_area : detection_area + truth[2] * truth[3] - shared);
}

GroupVerdicts match_boxes(const BoxGroup& group, bool strict_reference) {
  GroupVerdicts out;
  out.detections.resize(group.detections.size());
  std::vector<double> ious(group.detections.size() * group.truths.size());
  auto next = ious.begin();
  for (const DetectedBox* detection : group.detections) {
    for (const TrueBox* truth : group.truths) {
      *next++ = iou_xywh(detection->bbox, truth->bbox, truth->crowd);
    }
  }
  for (int range = 0; range < kAreas; ++range) {
    Matcher matcher(group, ious, range, strict_reference);
    out.positives[range] = matcher.positives();
    for (int t = 0; t < kThresholds; ++t) matcher.match(t, out.detections);
  }
  return out;
}

}  // namespace groma::eval
