#pragma once

namespace groma::train {

/// What the proposer's two score heads learn.
enum class ScoreHeads {
  kQuality,     ///< the first whether there is an object, the second the IoU of its box
  kAnnotation,  ///< whether there is an object, each from its own kind of annotation
};

}  // namespace groma::train
