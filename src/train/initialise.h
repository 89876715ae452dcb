#pragma once

#include <cstdint>

#include "model.h"

namespace groma::train {

/// Gives every parameter float storage with its value before training: random ones by its name.
///
/// The draw of a parameter depends on the seed and its name alone.
/// source    DINOv2 (vision), Zhu et al. 2021 (sampling offsets, heads' biases), Touvron et al.
/// 2023
void initialise(GromaModelImpl& model, uint64_t seed);

}  // namespace groma::train
