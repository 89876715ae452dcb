// Category grounding: recall by the rules of LVIS, of as many boxes as there are truths.

#include <algorithm>
#include <unordered_set>

#include "eval/box_matching.h"
#include "eval/error_analysis.h"
#include "eval/figures.h"
#include "eval/json_text.h"
#include "eval/score_protocols.h"

namespace groma::eval {
namespace {

constexpr std::array kRecalls = {"AR", "AR50", "AR75", "ARs", "ARm", "ARl"};

bool is_recall(const std::string& name) {
  return std::find(kRecalls.begin(), kRecalls.end(), name) != kRecalls.end();
}

/// What the metric counts: truths of the asked category.
std::vector<const Annotation*> truths_of(const ScoreInput& input, const Answered& answer,
                                         const std::vector<std::uint32_t>& boxes) {
  const Entry& entry = input.dataset.entries[answer.sample->entry];
  std::vector<const Annotation*> out;
  for (const std::uint32_t b : boxes) {
    const Annotation& box = input.dataset.annotations[b];
    if (box.category == entry.category && box.area > 0 && !box.ignore) out.push_back(&box);
  }
  return out;
}

/// The truths of the entries that were asked about.
BoxTruth truth_of(const ScoreInput& input) {
  BoxTruth truth = box_truth(input.dataset);
  if (input.samples.samples.size() + input.samples.excluded.size() + input.samples.other_tasks >=
      truth.images.size()) {
    return truth;
  }
  std::unordered_set<std::int64_t> asked;  // --limit left some out
  for (const Sample& sample : input.samples.samples) {
    asked.insert(input.dataset.entries[sample.entry].id);
  }
  std::erase_if(truth.images, [&](const BoxImage& image) { return !asked.contains(image.id); });
  std::erase_if(truth.boxes, [&](const TrueBox& box) { return !asked.contains(box.image); });
  return truth;
}

/// How many truths some box of `found` covers, each box covering one, the first box first.
std::size_t covered(const std::vector<const Annotation*>& truths,
                    const std::vector<XywhBox>& found) {
  std::vector<char> taken(truths.size(), 0);
  std::size_t count = 0;
  for (const XywhBox& box : found) {
    int best = -1;
    double best_iou = 0.5;
    for (std::size_t t = 0; t < truths.size(); ++t) {
      const double iou = taken[t] ? 0 : iou_xywh(box, truths[t]->bbox);
      if (iou <= best_iou) continue;
      best_iou = iou;
      best = static_cast<int>(t);
    }
    if (best < 0) continue;
    taken[best] = 1;
    ++count;
  }
  return count;
}

}  // namespace

void score_lvis_ground(const ScoreInput& input, ScoreReport& report,
                       std::vector<WrongAnswer>& wrong) {
  const auto boxes = annotations_by_entry(input.dataset);
  std::vector<DetectedBox> all, cut;
  ErrorAnalysis errors;
  double named = 0, right = 0, objects = 0, missing = 0;
  for (const Answered& answer : input.answers) {
    const Entry& entry = input.dataset.entries[answer.sample->entry];
    const auto truths = truths_of(input, answer, boxes[answer.sample->entry]);
    std::vector<XywhBox> found;
    for (const PredictedRegion& region : answer.prediction->regions) {
      found.push_back(xywh_of(region.xyxy));
      const DetectedBox detection{entry.id, entry.category, found.back(), 1.0};
      all.push_back(detection);
      if (found.size() <= truths.size()) cut.push_back(detection);
    }
    missing += found.empty();
    named += static_cast<double>(found.size());
    objects += static_cast<double>(truths.size());
    const std::size_t hits = covered(truths, found);
    right += static_cast<double>(hits);
    double sum = 0;
    for (const Annotation* truth : truths) {
      double best = 0;
      for (const XywhBox& box : found) best = std::max(best, iou_xywh(box, truth->bbox));
      sum += best;
      errors.add(best > 0.5, best, truth->bbox, truth->area, *answer.prediction);
    }
    if (hits == truths.size()) continue;
    WrongAnswer error{&answer,
                      {},
                      sum / static_cast<double>(truths.size()),
                      std::to_string(hits) + " of " + std::to_string(truths.size()) + " found"};
    for (const Annotation* truth : truths) error.targets.push_back(truth->bbox);
    wrong.push_back(std::move(error));
  }

  const BoxTruth truth = truth_of(input);
  const BoxMetricOptions options{.strict_reference = input.options.strict_reference};
  const auto add = [&](const BoxMetrics& metrics, const std::string& suffix) {
    for (Figure figure : metrics.summary) {
      if (!is_recall(figure.name)) continue;
      figure.name += suffix;
      report.figures.push_back(std::move(figure));
    }
  };
  const BoxMetrics of_cut = lvis_metrics(truth, cut, options);
  const BoxMetrics of_all = lvis_metrics(truth, all, options);
  add(*input.options.as_many_cut ? of_cut : of_all, "");
  add(of_cut, "_cut");
  add(of_all, "_all");
  report.warnings.insert(report.warnings.end(), of_all.warnings.begin(), of_all.warnings.end());
  report.figures.push_back(share_figure("object_recall", right, objects));
  report.figures.push_back(share_figure("box_precision", right, named));
  report.figures.push_back(
      share_figure("missing_share", missing, static_cast<double>(input.answers.size())));
  report.facts.emplace_back("as_many", *input.options.as_many_cut ? "\"cut\"" : "\"all\"");
  errors.report(report);
}

}  // namespace groma::eval
