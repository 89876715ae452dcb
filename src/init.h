#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "model.h"

namespace groma {

/// Value of one parameter before any training, float.
///
/// name      as registered; it decides the rule, and with the seed every random number
/// source    DINOv2 (vision), Zhu et al. 2021 (sampling offsets, heads' biases), Touvron et al.
/// 2023
at::Tensor initial_value(const std::string& name, at::IntArrayRef shape, const ModelConfig& config,
                         std::uint64_t seed);

/// Gives every parameter of `model` its initial value, in memory of its own.
void initialise(GromaModelImpl& model, std::uint64_t seed);

/// Writes a random checkpoint of the sizes in `config_file`: weights, config.json, tokenizer.
///
/// dtype     "float32", "bfloat16" or "float16", of the file
/// throws    Error when `directory` exists and is not empty
void init_checkpoint(const std::string& config_file, const std::string& directory,
                     const std::string& dtype, std::uint64_t seed);

}  // namespace groma
