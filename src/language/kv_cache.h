#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "config.h"

namespace groma {

/// Keys and values of one sequence, all layers, in memory taken ahead of need.
class KvCache {
 public:
  /// fixed_shape  `append_at` is used: room is made in large steps and holds zeros, not anything
  KvCache(const LanguageConfig& config, at::TensorOptions options, bool fixed_shape = false);

  bool fixed_shape() const { return fixed_shape_; }

  /// Makes room for `positions` in all; what is stored stays.
  void reserve(int64_t positions);

  /// Forgets every position from `length` on.
  void truncate(int64_t length);

  /// Stores the next keys and values of `layer`, each [kv_heads, T, head width], after the first
  /// `length()` positions, and returns views of everything up to them, [kv_heads, length + T, ...].
  std::pair<at::Tensor, at::Tensor> append(int64_t layer, const at::Tensor& keys,
                                           const at::Tensor& values);

  /// Stores keys and values of one position, each [kv_heads, 1, head width], and returns the whole
  /// room, [kv_heads, capacity, ...], of which later positions hold zeros. From one step to the
  /// next neither shapes nor addresses change, as the capture in a CUDA graph demands.
  ///
  /// place  [1] int64 on the cache's device: how many positions stand before
  std::pair<at::Tensor, at::Tensor> append_at(const at::Tensor& place, int64_t layer,
                                              const at::Tensor& keys, const at::Tensor& values);

  int64_t capacity() const { return capacity_; }

  /// Counts `positions` as stored, after every layer has appended them.
  void advance(int64_t positions) { length_ += positions; }

  int64_t length() const { return length_; }

  /// The first `length` positions, in memory of their own.
  KvCache copy(int64_t length) const;

  /// Keys and values of the first `length` positions, for each layer [2, kv_heads, length, width].
  std::vector<at::Tensor> stored(int64_t length) const;

  /// Takes up what `stored` gave, in place of all positions.
  void restore(const std::vector<at::Tensor>& keys_and_values);

 private:
  int64_t kv_heads_, head_width_;
  int64_t length_ = 0, capacity_ = 0;
  bool fixed_shape_;
  at::TensorOptions options_;
  std::vector<at::Tensor> keys_, values_;  // per layer [kv_heads, capacity, head width]
};

}  // namespace groma
