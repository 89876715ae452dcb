#pragma once

#include "language/tokenizer.h"
#include "train/stage.h"

namespace groma::train {

/// Stages 2 and 3: questions about scenes of the worlds, answered from region tokens.
///
/// The recipe says whether regions come from the truth (oracle) or from the picture, and how much
/// each loss weighs:
///   answer     next token of the answers
///   copy       at each region's feature its own <rK>
///   words      words of true boxes read from region tokens, see WordTable
///   attention  one head looks at the region that is named next, another one at the one just named
///   detection  the proposer's loss; without it vision encoder and proposer get no gradients, nor
///              where the data do not annotate every object
///   bag        half way up, regions and pointing positions hold the words of their objects
///
/// device  of the model
Stage language_stage(const Recipe& recipe, const ModelConfig& config, const Tokenizer& tokenizer,
                     const StageData& data, uint64_t seed, at::Device device);

}  // namespace groma::train
