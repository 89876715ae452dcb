#include "language/kv_cache.h"

#include <ATen/ATen.h>

#include <array>

namespace groma {

KvCache::KvCache(const LanguageConfig& config, at::TensorOptions options, bool fixed_shape)
    : kv_heads_(config.kv_heads),
      head_width_(config.hidden / config.heads),
      fixed_shape_(fixed_shape),
      options_(options),
      keys_(config.layers),
      values_(config.layers) {}

void KvCache::reserve(int64_t positions) {
  if (positions <= capacity_) return;
  constexpr int64_t kStep = 256;
  if (fixed_shape_) positions = (positions + kStep - 1) / kStep * kStep;
  for (auto* tensors : {&keys_, &values_}) {
    for (auto& tensor : *tensors) {
      const std::array<int64_t, 3> shape = {kv_heads_, positions, head_width_};
      auto larger = fixed_shape_ ? at::zeros(shape, options_) : at::empty(shape, options_);
      if (length_ > 0) larger.narrow(1, 0, length_).copy_(tensor.narrow(1, 0, length_));
      tensor = larger;
    }
  }
  capacity_ = positions;
}

void KvCache::truncate(int64_t length) {
  TORCH_CHECK(length <= length_, "KvCache: cannot cut ", length_, " positions to ", length);
  length_ = length;
}

KvCache KvCache::copy(int64_t length) const {
  TORCH_CHECK(length <= length_, "KvCache: cannot copy ", length, " of ", length_, " positions");
  KvCache result = *this;
  result.length_ = length;
  result.capacity_ = 0;  // what is reserved next is new memory
  result.reserve(length);
  return result;
}

std::vector<at::Tensor> KvCache::stored(int64_t length) const {
  TORCH_CHECK(length <= length_, "KvCache: cannot give ", length, " of ", length_, " positions");
  std::vector<at::Tensor> result;
  for (size_t i = 0; i < keys_.size(); ++i) {
    result.push_back(at::stack({keys_[i].narrow(1, 0, length), values_[i].narrow(1, 0, length)}));
  }
  return result;
}

void KvCache::restore(const std::vector<at::Tensor>& keys_and_values) {
  TORCH_CHECK(keys_and_values.size() == keys_.size(), "KvCache: ", keys_and_values.size(),
              " layers, expected ", keys_.size());
  const auto length = keys_and_values[0].size(2);
  truncate(0);
  reserve(length);
  for (size_t i = 0; i < keys_.size(); ++i) {
    append(static_cast<int64_t>(i), keys_and_values[i][0], keys_and_values[i][1]);
  }
  advance(length);
}

std::pair<at::Tensor, at::Tensor> KvCache::append(int64_t layer, const at::Tensor& keys,
                                                  const at::Tensor& values) {
  const auto count = keys.size(1);
  TORCH_CHECK(length_ + count <= capacity_, "KvCache: ", length_ + count, " positions, reserved ",
              capacity_);
  keys_[layer].narrow(1, length_, count).copy_(keys);
  values_[layer].narrow(1, length_, count).copy_(values);
  return {keys_[layer].narrow(1, 0, length_ + count), values_[layer].narrow(1, 0, length_ + count)};
}

std::pair<at::Tensor, at::Tensor> KvCache::append_at(const at::Tensor& place, int64_t layer,
                                                     const at::Tensor& keys,
                                                     const at::Tensor& values) {
  TORCH_CHECK(fixed_shape_ && length_ < capacity_, "KvCache: ", length_,
              " positions stored, reserved ", capacity_);
  keys_[layer].index_copy_(1, place, keys);
  values_[layer].index_copy_(1, place, values);
  return {keys_[layer], values_[layer]};
}

}  // namespace groma
