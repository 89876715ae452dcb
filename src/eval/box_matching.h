#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "groma/evaluate.h"

namespace groma::eval {

constexpr int kThresholds = 10;
constexpr int kAreas = 4;
constexpr int kRecalls = 101;

/// numpy.linspace(0.5, 0.95, 10); 0.5 + 0.05 * i differs in the last bit.
constexpr std::array<double, kThresholds> kIouThresholds = {0x1.0p-1,
                                                            0x1.199999999999ap-1,
                                                            0x1.3333333333333p-1,
                                                            0x1.4cccccccccccdp-1,
                                                            0x1.6666666666666p-1,
                                                            0x1.8p-1,
                                                            0x1.999999999999ap-1,
                                                            0x1.b333333333333p-1,
                                                            0x1.cccccccccccccp-1,
                                                            0x1.e666666666666p-1};

/// Square pixels, both ends inclusive: all, small, medium, large.
constexpr std::array<std::array<double, 2>, kAreas> kAreaRanges = {
    {{0, 1e10}, {0, 1024}, {1024, 9216}, {9216, 1e10}}};
constexpr std::array<const char*, kAreas> kAreaNames = {"all", "small", "medium", "large"};

/// The boxes of one category on one image.
struct BoxGroup {
  std::vector<const TrueBox*> truths;          ///< in the order of the file
  std::vector<const DetectedBox*> detections;  ///< by score, descending, ties in the order listed
  bool exhaustive = true;                      ///< unmatched detections are wrong, not ignored
};

/// What became of a detection; bit t of each word is for kIouThresholds[t].
struct Verdict {
  std::array<std::uint16_t, kAreas> matched{};
  std::array<std::uint16_t, kAreas> ignored{};
};

struct GroupVerdicts {
  std::vector<Verdict> detections;
  std::array<std::int64_t, kAreas> positives{};  ///< truths that count
};

/// Overlap of two boxes; of a crowd, the share of the detection that lies in it.
double iou_xywh(const XywhBox& detection, const XywhBox& truth, bool crowd = false);

/// Gives each detection, best first, the free truth it overlaps most.
///
/// source    evaluateImg of pycocotools and evaluate_img of lvis-api, which share these rules
GroupVerdicts match_boxes(const BoxGroup& group, bool strict_reference);

}  // namespace groma::eval
