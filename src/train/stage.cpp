#include "train/stage.h"

namespace groma::train {

void Losses::add(const std::string& name, const at::Tensor& loss, double weight) {
  if (weight == 0) return;
  metrics[name] = loss.item<double>();
  total = total.defined() ? total + weight * loss : weight * loss;
}

}  // namespace groma::train
