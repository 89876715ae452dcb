#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "train/worlds/scene.h"

namespace groma::train {

/// What can be said about a picture: only what nobody would dispute is kYes or kNo.
enum class Truth { kNo, kUnclear, kYes };

enum class Side { kLeft, kRight, kAbove, kBelow };
inline constexpr std::array<Side, 4> kSides{Side::kLeft, Side::kRight, Side::kAbove, Side::kBelow};

enum class Extreme { kLargest, kSmallest, kLeftmost, kRightmost, kTopmost, kBottommost };
inline constexpr std::array<Extreme, 6> kExtremes{Extreme::kLargest,  Extreme::kSmallest,
                                                  Extreme::kLeftmost, Extreme::kRightmost,
                                                  Extreme::kTopmost,  Extreme::kBottommost};

/// Whether the object stands on that side of the anchor: its centre beyond the anchor's border and
/// rather there than in the direction across, or (kNo) its centre on the other side.
Truth is_beside(const Scene& scene, int object, int anchor, Side side);

/// By object: whether its visible pixels touch those of the anchor (kYes), or stay at least 1/36 of
/// the picture's side away (kNo). The anchor itself is kNo.
std::vector<Truth> touching(const Scene& scene, int anchor);

/// The candidate that is clearly closer to the anchor than all others, by the distance of centres
/// and by that of borders.
std::optional<int> nearest(const Scene& scene, const std::vector<int>& candidates, int anchor);

/// The candidate that clearly is the extreme one.
std::optional<int> extreme(const Scene& scene, const std::vector<int>& candidates, Extreme which);

/// The candidates as met when coming from that side; nothing when two are about level.
std::optional<std::vector<int>> sequence(const Scene& scene, std::vector<int> candidates,
                                         Side from);

}  // namespace groma::train
