#pragma once

#include <array>
#include <string>
#include <vector>

#include "eval/prediction.h"
#include "groma/evaluate.h"

namespace groma::eval {

/// Whose fault a wrong answer is.
enum class Fault {
  kNone,         ///< the answer is right
  kNotProposed,  ///< no kept box has IoU > 0.5 with the target: the proposer's
  kNotChosen,    ///< one has, but another object or nothing was named: the language model's
  kTooLoose,     ///< the target was named, by a box that overlaps it by 0.25 to 0.5
  kUnknown,      ///< the prediction lists no candidates
};

/// `iou` is that of the named box with the target, 0 where nothing was named.
Fault fault_of(bool right, double iou, const XywhBox& target, const Prediction& prediction);

/// Best IoU of the candidates with a target in pixels.
double best_candidate(const XywhBox& target, const Prediction& prediction);

/// The share of targets that some kept box fits: no answer can do better. By size of the target.
class ProposerCeiling {
 public:
  /// area      of the target, square pixels
  void add(const XywhBox& target, double area, const Prediction& prediction);
  void report(ScoreReport& report) const;

 private:
  std::array<std::int64_t, 4> proposed_{}, targets_{};  // all, small, medium, large
};

/// Sums up whose fault the wrong answers are, and the ceiling that the proposer sets.
class ErrorAnalysis {
 public:
  /// iou       of the named box with the target, pixels
  Fault add(bool right, double iou, const XywhBox& target, double area,
            const Prediction& prediction);
  void report(ScoreReport& report) const;

 private:
  std::array<std::int64_t, 5> faults_{};
  ProposerCeiling ceiling_;
};

/// Whether scores mean what they say: answers of score 0.8 should be right in 80 of 100 cases.
class Calibration {
 public:
  void add(double confidence, bool right);
  /// Adds the figure `name`, the expected calibration error over ten bins, and a fact `bins`.
  void report(const std::string& name, const std::string& bins, ScoreReport& report) const;

 private:
  struct Bin {
    double confidence = 0, right = 0, count = 0;
    double squares = 0;  ///< of each answer's confidence less 1 or 0
  };
  std::array<Bin, 10> bins_{};
};

/// Indices into kAreaRanges that an area belongs to, besides all.
std::vector<int> sizes_of(double area);

/// A box in pixels, x1, y1, x2, y2, as xywh.
XywhBox xywh_of(const FloatBox& xyxy);

}  // namespace groma::eval
