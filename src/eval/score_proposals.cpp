// The proposer alone: class-agnostic precision and recall of its boxes.

#include <algorithm>

#include "eval/error_analysis.h"
#include "eval/score_protocols.h"

namespace groma::eval {
namespace {

/// The truths of the asked entries, all of one class.
BoxTruth one_class_truth(const ScoreInput& input) {
  BoxTruth truth;
  truth.categories.push_back({1, 0});
  std::vector<char> asked(input.dataset.entries.size(), 0);
  for (const Sample& sample : input.samples.samples) {
    asked[sample.entry] = 1;
    truth.images.push_back({input.dataset.entries[sample.entry].id, {}, {}});
  }
  for (const Annotation& box : input.dataset.annotations) {
    if (!asked[box.entry]) continue;
    truth.boxes.push_back({box.id, box.entry_id, 1, box.bbox, box.area, false, box.crowd});
  }
  return truth;
}

void add_metrics(const BoxTruth& truth, const ScoreInput& input, bool kept, ScoreReport& report) {
  std::vector<DetectedBox> found;
  for (const Answered& answer : input.answers) {
    const std::int64_t image = input.dataset.entries[answer.sample->entry].id;
    const Prediction& said = *answer.prediction;
    for (const Candidate& candidate : kept ? said.candidates : said.proposals) {
      found.push_back({image, 1, xywh_of(candidate.xyxy), candidate.score});
    }
  }
  if (found.empty() && !kept) {
    report.warnings.push_back("the predictions list no proposals before suppression");
    return;
  }
  const BoxMetricOptions options{.strict_reference = input.options.strict_reference};
  BoxMetrics metrics = coco_metrics(truth, found, options);
  for (Figure& figure : metrics.summary) {
    figure.name += kept ? "_kept" : "_proposed";
    report.figures.push_back(std::move(figure));
  }
}

/// Share of the objects of each size that a kept box fits; pictures with missed ones go to `wrong`.
void add_ceiling(const ScoreInput& input, ScoreReport& report, std::vector<WrongAnswer>& wrong) {
  ProposerCeiling ceiling;
  for (const Answered& answer : input.answers) {
    std::vector<XywhBox> missed;
    for (const std::uint32_t b : answer.sample->boxes) {
      const Annotation& box = input.dataset.annotations[b];
      if (box.crowd) continue;
      ceiling.add(box.bbox, box.area, *answer.prediction);
      if (best_candidate(box.bbox, *answer.prediction) <= 0.5) missed.push_back(box.bbox);
    }
    if (missed.empty()) continue;
    const double count = static_cast<double>(answer.sample->boxes.size());
    wrong.push_back({&answer, missed, 1 - static_cast<double>(missed.size()) / count,
                     std::to_string(missed.size()) + " objects without a kept box"});
  }
  ceiling.report(report);
}

}  // namespace

void score_proposals(const ScoreInput& input, ScoreReport& report,
                     std::vector<WrongAnswer>& wrong) {
  const BoxTruth truth = one_class_truth(input);
  add_metrics(truth, input, false, report);
  add_metrics(truth, input, true, report);
  add_ceiling(input, report, wrong);
}

}  // namespace groma::eval
