#include "eval/error_analysis.h"

#include <algorithm>
#include <cmath>

#include "eval/box_matching.h"
#include "eval/figures.h"
#include "eval/json_text.h"

namespace groma::eval {
namespace {

constexpr double kRight = 0.5;   // IoU above which a box stands for its target
constexpr double kLoose = 0.25;  // IoU from which a box is meant for the target
constexpr std::array kFaultNames = {"right", "not_proposed", "not_chosen", "too_loose", "unknown"};

}  // namespace

XywhBox xywh_of(const FloatBox& xyxy) {
  const double x1 = xyxy[0], y1 = xyxy[1];
  return {x1, y1, xyxy[2] - x1, xyxy[3] - y1};
}

std::vector<int> sizes_of(double area) {
  std::vector<int> out;
  for (int a = 1; a < kAreas; ++a) {
    if (area >= kAreaRanges[a][0] && area <= kAreaRanges[a][1]) out.push_back(a);
  }
  return out;
}

double best_candidate(const XywhBox& target, const Prediction& prediction) {
  double best = 0;
  for (const Candidate& candidate : prediction.candidates) {
    best = std::max(best, iou_xywh(xywh_of(candidate.xyxy), target));
  }
  return best;
}

Fault fault_of(bool right, double iou, const XywhBox& target, const Prediction& prediction) {
  if (right) return Fault::kNone;
  if (iou >= kLoose) return Fault::kTooLoose;
  if (prediction.candidates.empty()) return Fault::kUnknown;
  return best_candidate(target, prediction) > kRight ? Fault::kNotChosen : Fault::kNotProposed;
}

void ProposerCeiling::add(const XywhBox& target, double area, const Prediction& prediction) {
  if (prediction.candidates.empty() && prediction.error.empty()) return;  // not recorded
  const bool proposed = best_candidate(target, prediction) > kRight;
  const auto count = [&](int size) {
    ++targets_[size];
    proposed_[size] += proposed;
  };
  count(0);
  for (const int size : sizes_of(area)) count(size);
}

void ProposerCeiling::report(ScoreReport& report) const {
  if (targets_[0] == 0) {
    report.warnings.push_back(
        "the predictions list no candidates: what the proposer missed cannot be told");
    return;
  }
  for (int size = 0; size < kAreas; ++size) {
    const std::string name = size == 0 ? "" : std::string("_") + kAreaNames[size];
    report.figures.push_back(share_figure("proposer_recall" + name,
                                          static_cast<double>(proposed_[size]),
                                          static_cast<double>(targets_[size])));
  }
}

Fault ErrorAnalysis::add(bool right, double iou, const XywhBox& target, double area,
                         const Prediction& prediction) {
  const Fault fault = fault_of(right, iou, target, prediction);
  ++faults_[static_cast<std::size_t>(fault)];
  ceiling_.add(target, area, prediction);
  return fault;
}

void ErrorAnalysis::report(ScoreReport& report) const {
  Json faults = Json::object();
  for (std::size_t i = 0; i < kFaultNames.size(); ++i) faults[kFaultNames[i]] = faults_[i];
  report.facts.emplace_back("errors", faults.dump());
  ceiling_.report(report);
}

void Calibration::add(double confidence, bool right) {
  const auto place = static_cast<std::size_t>(std::clamp(confidence, 0.0, 1.0) * 10);
  Bin& bin = bins_[std::min<std::size_t>(place, 9)];
  bin.confidence += confidence;
  bin.right += right;
  ++bin.count;
  bin.squares += (confidence - right) * (confidence - right);
}

void Calibration::report(const std::string& name, const std::string& bins,
                         ScoreReport& report) const {
  double gap = 0, count = 0, squares = 0;
  Json list = Json::array();
  for (std::size_t i = 0; i < bins_.size(); ++i) {
    const Bin& bin = bins_[i];
    gap += std::abs(bin.confidence - bin.right);
    count += bin.count;
    squares += bin.squares;
    if (bin.count == 0) continue;
    list.push_back({{"from", static_cast<double>(i) / 10},
                    {"count", bin.count},
                    {"confidence", bin.confidence / bin.count},
                    {"accuracy", bin.right / bin.count}});
  }
  if (count == 0) return;
  // With each bin's sign as it is, the error is a mean of signed differences.
  report.figures.push_back(
      mean_figure(name, gap, count, squares, "normal, with the signs of the bins"));
  report.facts.emplace_back(bins, list.dump());
}

}  // namespace groma::eval
