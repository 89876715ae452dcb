#include <algorithm>
#include <cmath>
#include <map>

#include "eval/box_matching.h"
#include "eval/error_analysis.h"
#include "eval/figures.h"
#include "eval/json_text.h"
#include "eval/score_protocols.h"

namespace groma::eval {
namespace {

using Corners = std::array<double, 4>;  // x1, y1, x2, y2

struct Overlap {
  double iou = 0, generalised = 0;
};

Overlap overlap_of(const Corners& a, const Corners& b) {
  const auto area = [](const Corners& c) { return (c[2] - c[0]) * (c[3] - c[1]); };
  const double width = std::min(a[2], b[2]) - std::max(a[0], b[0]);
  const double height = std::min(a[3], b[3]) - std::max(a[1], b[1]);
  const double shared = std::max(width, 0.0) * std::max(height, 0.0);
  const double joint = area(a) + area(b) - shared;
  const double hull =
      (std::max(a[2], b[2]) - std::min(a[0], b[0])) * (std::max(a[3], b[3]) - std::min(a[1], b[1]));
  Overlap out;
  out.iou = joint > 0 ? shared / joint : 0;
  out.generalised = hull > 0 ? out.iou - (hull - joint) / hull : 0;
  return out;
}

Corners corners_of(const XywhBox& box) {
  return {box[0], box[1], box[0] + box[2], box[1] + box[3]};
}

/// Right answers of all that were asked.
struct Share {
  double right = 0, count = 0;
  void add(bool is_right) {
    right += is_right;
    ++count;
  }
};

/// The numbers of all answers, as they come in.
class RecScore {
 public:
  explicit RecScore(const ScoreInput& input) : input_(input) {}

  void add(const Answered& answer, std::vector<WrongAnswer>& wrong) {
    const Entry& entry = input_.dataset.entries[answer.sample->entry];
    const Annotation& target = input_.dataset.annotations[answer.sample->boxes[0]];
    const Prediction& said = *answer.prediction;
    RecVerdict verdict;
    const bool answered = said.error.empty() && !said.regions.empty();
    if (answered) {
      verdict = judge(*input_.options.rule, said.regions[0], target.bbox, entry);
      by_score_.add(said.regions[0].score, verdict.right);
      by_token_.add(std::exp(said.regions[0].logprob), verdict.right);
      near_ += std::abs(verdict.overlap - 0.5) < 1e-5;
    }
    all_.add(verdict.right);
    missing_ += !answered;
    overlaps_.push_back(verdict.iou);
    for (const int size : sizes_of(target.bbox[2] * target.bbox[3])) {
      by_size_[size].add(verdict.right);
    }
    add_kind(entry, verdict.right);
    const double pixel_iou =
        answered
            ? overlap_of(corners_of(xywh_of(said.regions[0].xyxy)), corners_of(target.bbox)).iou
            : 0;
    const Fault fault =
        errors_.add(verdict.right, pixel_iou, target.bbox, target.bbox[2] * target.bbox[3], said);
    if (!verdict.right) wrong.push_back({&answer, {target.bbox}, pixel_iou, why(fault, said)});
  }

  void report(ScoreReport& report) const {
    report.figures.push_back(share_figure("accuracy", all_.right, all_.count));
    report.figures.push_back(mean_figure("mean_iou", overlaps_));
    report.figures.push_back(share_figure("missing_share", missing_, all_.count));
    for (const auto& [size, share] : by_size_) {
      report.figures.push_back(
          share_figure(std::string("accuracy_") + kAreaNames[size], share.right, share.count));
    }
    for (const auto& [kind, share] : by_kind_) {
      report.figures.push_back(share_figure("accuracy_" + kind, share.right, share.count));
    }
    if (!blind_.empty()) report.figures.push_back(mean_figure("blind_baseline", blind_));
    report.facts.emplace_back("within_1e-5_of_threshold", std::to_string(near_));
    errors_.report(report);
    by_score_.report("ece_score", "calibration_of_score", report);
    by_token_.report("ece_token", "calibration_of_token", report);
  }

 private:
  /// Our own files name the kind of an expression, and the boxes that fit its words alone.
  void add_kind(const Entry& entry, bool right) {
    const std::string kind = extra_field(entry.extra, "kind");
    if (kind.size() > 2 && kind.front() == '"') {
      by_kind_[Json::parse(kind).get<std::string>()].add(right);
    }
    const std::string blind = extra_field(entry.extra, "blind");
    if (blind.empty()) return;
    const Json boxes = Json::parse(blind);
    if (boxes.is_array() && !boxes.empty()) {
      blind_.push_back(1 / static_cast<double>(boxes.size()));
    }
  }

  static std::string why(Fault fault, const Prediction& said) {
    if (!said.error.empty()) return said.error;
    if (said.regions.empty()) return "no region was named";
    switch (fault) {
      case Fault::kNotProposed:
        return "no kept box fits the target";
      case Fault::kNotChosen:
        return "a kept box fits the target, another was named";
      case Fault::kTooLoose:
        return "the named box is too loose";
      default:
        return "wrong";
    }
  }

  const ScoreInput& input_;
  Share all_;
  double missing_ = 0;
  std::size_t near_ = 0;
  std::vector<double> overlaps_, blind_;
  std::map<int, Share> by_size_;
  std::map<std::string, Share> by_kind_;
  ErrorAnalysis errors_;
  Calibration by_score_, by_token_;
};

}  // namespace

RecVerdict judge(RecRule rule, const PredictedRegion& answer, const XywhBox& target,
                 const Entry& entry) {
  if (rule == RecRule::kGroma) {
    const auto& b = answer.cxcywh;
    const double half_width = b[2] / 2.0, half_height = b[3] / 2.0;
    const Corners box = {b[0] - half_width, b[1] - half_height, b[0] + half_width,
                         b[1] + half_height};
    const double iou = overlap_of(box, unit_xyxy(target, entry)).iou;
    return {iou, iou, iou > 0.5};
  }
  Corners box = {answer.xyxy[0], answer.xyxy[1], answer.xyxy[2], answer.xyxy[3]};
  if (rule == RecRule::kMdetr) {
    const Overlap overlap = overlap_of(box, corners_of(target));
    return {overlap.iou, overlap.generalised, overlap.generalised >= 0.5};
  }
  for (double& corner : box) corner = std::trunc(corner);
  const double iou = overlap_of(box, corners_of(target)).iou;
  return {iou, iou, iou >= 0.5};
}

void score_rec(const ScoreInput& input, ScoreReport& report, std::vector<WrongAnswer>& wrong) {
  RecScore score(input);
  for (const Answered& answer : input.answers) score.add(answer, wrong);
  score.report(report);
}

}  // namespace groma::eval
