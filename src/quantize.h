#pragma once

#include <functional>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "model.h"

// Which layers of the model are quantised, and how files keep them. The decoder's linear layers
// hold nine tenths of the numbers and all of the time of a generated token; everything else stays
// as it is. The head becomes int8 at least: what it rounds goes straight into the choice of a
// token.

namespace groma {

/// A layer that is quantised.
struct QuantizedLayer {
  std::string name;       ///< as registered, "llm.lm_head"
  nn::LinearImpl* layer;  ///< valid as long as the model is
  ops::WeightType type;
};

/// What a model's quantisation is called in config.json, in options and on the command line.
const char* name_of(ops::WeightType type);

/// The layers that are quantised when most are to become `type`.
std::vector<QuantizedLayer> quantized_layers(GromaModelImpl& model, ops::WeightType type);

/// Memory of its packed weight.
int64_t packed_bytes(const QuantizedLayer& layer);

/// Gives every quantised layer its weight and takes the tensors used out of `tensors`, which keep
/// all others: packed ones as they are, of a file made by `quantize_checkpoint` (`stored`), copied
/// to large pages; else packed here, which takes a while.
///
/// options      dtype and device that the layers compute in
/// on_progress  called with the done share in [0, 1]; may be empty
/// throws       Error when a stored tensor is missing, unexpected or misshapen
void adopt_quantized(GromaModelImpl& model, io::TensorMap& tensors, ops::WeightType type,
                     bool stored, at::TensorOptions options,
                     const std::function<void(double)>& on_progress = nullptr);

/// Writes the checkpoint of folder `from` with quantised layers, and all else in bfloat16 (float
/// where the model computes in float), as the new folder `to`, ready to load.
///
/// rounding     of int4; see ops::Rounding
/// throws       Error when `from` is no checkpoint or quantised already, or `to` exists and is not
///              an empty folder
void quantize_checkpoint(const std::string& from, ops::WeightType type, ops::Rounding rounding,
                         const std::string& to,
                         const std::function<void(double)>& on_progress = nullptr);

}  // namespace groma
