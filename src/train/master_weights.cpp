#include "train/master_weights.h"

#include <ATen/ATen.h>

#include <map>

#include "check.h"

namespace groma::train {
namespace {

bool decays(const std::string& name, const at::Tensor& value) {
  return value.dim() >= 2 && name.find("embed") == std::string::npos &&
         name.find("_embs") == std::string::npos && name.find("_token") == std::string::npos;
}

}  // namespace

MasterWeights::MasterWeights(const GromaModelImpl& model, const Recipe& recipe) {
  int64_t moving = 0;
  for (const auto& item : model.named_parameters()) {
    Entry entry;
    entry.name = item.key();
    entry.value = item.value().detach().to(at::kFloat).contiguous().clone();
    entry.moves = begins_with_any(entry.name, recipe.trainable);
    if (entry.moves) moving += entry.value.numel();
    entries.push_back(std::move(entry));
  }
  require(moving > 0, "train: the recipe's \"trainable\" fits no parameter of the model");
  gradients = at::zeros({moving});
  int64_t at = 0;
  for (auto& entry : entries) {
    if (!entry.moves) continue;
    const auto count = entry.value.numel();
    entry.gradient = gradients.narrow(0, at, count).view(entry.value.sizes());
    entry.first = at::zeros_like(entry.value);
    entry.second = at::zeros_like(entry.value);
    entry.rate = value_for(recipe.optimizer.rates, entry.name, 1);
    entry.decay = decays(entry.name, entry.value) ? recipe.optimizer.weight_decay : 0;
    at += count;
  }
}

double MasterWeights::update(const OptimizerOptions& options, double rate) {
  const at::NoGradGuard no_gradients;
  const double norm = gradients.norm().item<double>();
  if (!std::isfinite(norm)) return norm;  // the caller stops; nothing is spoilt
  if (norm > options.clip) gradients.mul_(options.clip / norm);
  ++updates;
  std::map<std::pair<double, double>, std::vector<Entry*>> groups;
  for (auto& entry : entries) {
    if (entry.moves && entry.rate > 0) groups[{entry.rate, entry.decay}].push_back(&entry);
  }
  for (const auto& [key, members] : groups) {
    std::vector<at::Tensor> values, gradient, first, second, steps;
    for (auto* entry : members) {
      values.push_back(entry->value);
      gradient.push_back(entry->gradient);
      first.push_back(entry->first);
      second.push_back(entry->second);
      steps.push_back(at::scalar_tensor(static_cast<double>(updates), at::kFloat));
    }
    at::_fused_adamw_(values, gradient, first, second, {}, steps, rate * key.first,
                      options.betas[0], options.betas[1], key.second, options.epsilon,
                      /*amsgrad=*/false, /*maximize=*/false);
  }
  return norm;
}

Replica::Replica(const ModelConfig& config, MasterWeights& master, const Recipe& recipe)
    : model(config), master_(master) {
  size_t i = 0;
  for (auto& item : model->named_parameters()) {
    auto& entry = master.entries[i++];
    TORCH_CHECK(entry.name == item.key(), "replica: parameter ", item.key(), " stands where ",
                entry.name, " stood");
    auto& parameter = item.value();
    const bool half = begins_with_any(entry.name, recipe.bfloat16);
    parameter.set_data(half ? entry.value.to(at::kBFloat16) : entry.value);
    parameter.requires_grad_(entry.moves);
    parameters_.push_back(parameter);
  }
}

void Replica::refresh() {
  const at::NoGradGuard no_gradients;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const auto& entry = master_.entries[i];
    auto& parameter = parameters_[i];
    if (entry.moves && parameter.scalar_type() != at::kFloat) parameter.copy_(entry.value);
  }
}

void Replica::hand_over(MasterWeights& master, double share) {
  const at::NoGradGuard no_gradients;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    auto& gradient = parameters_[i].mutable_grad();
    if (!gradient.defined()) continue;
    master.entries[i].gradient.add_(gradient, share);
    gradient = at::Tensor();
  }
}

}  // namespace groma::train
