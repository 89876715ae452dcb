#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "groma/groma.h"
#include "train/worlds/scene.h"

namespace groma::train {

/// What is measured of a checkpoint on held-out scenes of a world.
struct FigureOptions {
  World world = World::kShapes;
  int scenes = 300;  ///< at least 1
  std::uint64_t seed = 0;
  int threads = 1;             ///< scenes at a time, at least 1
  DType dtype = DType::kAuto;  ///< of the computation
};

/// A share: hits of total. `blind` scores are what picking any object that fits the target's own
/// words would give.
struct WorldFigure {
  double hits = 0, total = 0;
  double value() const { return total > 0 ? hits / total : 0; }
};

/// Asks a checkpoint about scenes that no training has seen, with the model's own proposals and
/// greedy answers.
///
/// Names: "AR50", "AR", "kept AR50", "kept precision"; "REC attr", "REC rel" ... of the first
/// region of a plain answer, "REC rel steps" ... of the last one of a [grounding] answer, "blind
/// rel" ...; "REC small" ... by the target's size; "caption", "ground recall", "ground precision",
/// "count", "count within one", "yes/no", "absent", "describe recall", "describe precision",
/// "describe F1" (phrase and box; twice the hits of the pairs said and true); "answer nats": how
/// improbable the model finds the right answers, natural logarithm a token (its exponential is the
/// perplexity).
///
/// throws    Error when the checkpoint cannot be loaded or a number is out of range
std::map<std::string, WorldFigure> measure(const std::string& directory,
                                           const FigureOptions& options);

/// All boxes that an answer names, in order.
std::vector<Box> boxes_in(const ChatResult& answer);

}  // namespace groma::train
