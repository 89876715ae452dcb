#pragma once

#include <torch/nn/module.h>

#include <functional>
#include <string>

#include "config.h"
#include "io/safetensors.h"

namespace groma::io {

/// Opens all weight files of a checkpoint: model*.safetensors or pytorch_model*.bin, with or
/// without an index, and applies kRenames, so that every name is the one our modules register.
///
/// throws    Error when files are missing or damaged, or a tensor comes twice
TensorMap open_weights(const std::string& directory);

/// Shape of each tensor, for `adopt_shapes`.
ShapeTable shapes_of(const TensorMap& tensors);

/// A tensor's name in files, and the one that our modules register, from each other.
std::string published_name(const std::string& registered);
std::string registered_name(const std::string& published);

/// Throws an Error listing every missing, unexpected and misshapen tensor of a module at once.
void check_weights(const torch::nn::Module& module, const TensorMap& tensors);

/// Which dtype a parameter computes in, by its name.
using DTypeOf = std::function<at::ScalarType(const std::string& name)>;

/// Gives every parameter of `module` its tensor: a view of the file where dtype and device already
/// agree, else a converted copy (the file's pages are then released).
///
/// throws    Error listing every missing, unexpected and misshapen tensor at once
void assign_weights(torch::nn::Module& module, TensorMap tensors, const DTypeOf& dtype_of,
                    at::Device device, const std::function<void(double)>& on_progress = nullptr);

/// Most bytes of one file of weights, where a single tensor does not need more.
constexpr int64_t kShardBytes = int64_t{5} << 30;

/// Writes the parameters of `module` as model.safetensors (with model.safetensors.index.json and
/// shards of at most `shard_bytes` where larger), under the checkpoint's names. With `value_of`
/// (which gets the registered name) the parameters give their shapes alone.
void save_weights(const torch::nn::Module& module, const std::string& directory,
                  at::ScalarType dtype, int64_t shard_bytes = kShardBytes,
                  const ValueOf& value_of = nullptr);

}  // namespace groma::io
