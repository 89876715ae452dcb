#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "engine.h"
#include "io/safetensors.h"
#include "language/prompt.h"

namespace groma::testing {

/// Every tensor that the golden data name for the first turn of a case, computed by our stages.
///
/// Keys as in golden/README.md without their .everyN or .firstN; llm.* only for turn 1.
struct CaseTensors {
  io::TensorMap tensors;
  at::Tensor region_boxes;   ///< [K, 4]
  at::Tensor region_tokens;  ///< [K, H]
  at::Tensor image_tokens;   ///< [image tokens, H]
};
CaseTensors compute_case(const Groma::Impl& engine, const Image& image,
                         const at::Tensor& user_boxes, const SelectConfig& select);

/// Expanded ids, embeddings and the logits of every step of one turn, generated ids given.
io::TensorMap compute_turn(const Groma::Impl& engine, const CaseTensors& seen,
                           const std::vector<int64_t>& prompt_ids,
                           const std::vector<int64_t>& refer_matches,
                           const std::vector<int64_t>& generated_ids);

/// What ops.safetensors, preprocess/expected.safetensors ask for, by the same names.
io::TensorMap compute_ops(const io::TensorMap& inputs, const nlohmann::json& parameters);
io::TensorMap compute_preprocess(const std::filesystem::path& folder,
                                 const io::TensorMap& expected);

}  // namespace groma::testing
