#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "train/detection_loss.h"
#include "train/worlds/questions.h"
#include "train/worlds/random.h"
#include "train/worlds/scene.h"

namespace groma::train {

/// Scenes as the network takes them. Of a picture of one's own the scene holds boxes alone.
struct SceneBatch {
  std::vector<Scene> scenes;
  at::Tensor pixels;            ///< [B, 3, S, S] float, normalised
  std::vector<BoxTruth> truth;  ///< of each scene, in the order of its objects
  std::vector<bool> own;        ///< per scene, a picture of one's own; empty: all are drawn
  std::vector<std::vector<Question>> asked;  ///< per scene, of one's own
  bool complete = true;                      ///< every object is annotated

  /// Moves what the network takes: pixels and true boxes.
  void move_to(at::Device device);
  bool is_own(size_t b) const { return !own.empty() && own[b]; }
};

/// Draws scenes `first` to `first + count - 1` of the endless list that belongs to a seed.
SceneBatch draw_batch(const WorldOptions& options, uint64_t seed, int64_t first, int64_t count);

/// The seed of entry `index` of the list that belongs to `seed`.
uint64_t entry_seed(uint64_t seed, int64_t index);

/// The objects' boxes.   [G, 4] cxcywh in [0, 1]
at::Tensor truth_boxes(const Scene& scene);

/// Boxes moved and stretched by a few per cent of their sides, inside the picture.
///
/// share  standard deviation of each change, of the box's side
at::Tensor jittered(const at::Tensor& boxes_cxcywh, double share, Random& random);

}  // namespace groma::train
