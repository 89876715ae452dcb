#include "train/stage.h"

#include <ATen/ATen.h>

namespace groma::train {

void Losses::add(const std::string& name, const at::Tensor& loss, double weight) {
  if (weight == 0) return;
  metrics[name] = loss.item<double>();
  total = total.defined() ? total + weight * loss : weight * loss;
}

at::Device device_of(const GromaModelImpl& model) {
  return model.llm->embed_tokens->weight.device();
}

}  // namespace groma::train
