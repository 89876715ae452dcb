#include "train/master_weights.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "check.h"

namespace groma::train {
namespace {

bool decays(const std::string& name, const at::Tensor& value) {
  return value.dim() >= 2 && name.find("embed") == std::string::npos &&
         name.find("_embs") == std::string::npos && name.find("_token") == std::string::npos;
}

/// Refuses a prefix that no parameter's name begins with: it would say nothing.
void require_fitting(const std::vector<MasterWeights::Entry>& entries, const char* key,
                     const std::vector<std::string>& prefixes) {
  for (const auto& prefix : prefixes) {
    const bool fits = std::any_of(entries.begin(), entries.end(), [&](const auto& entry) {
      return entry.name.starts_with(prefix);
    });
    if (fits) continue;
    std::set<std::string> parts;
    for (const auto& entry : entries) parts.insert(entry.name.substr(0, entry.name.find('.') + 1));
    require(false, "train: '", prefix, "' of ", key,
            " fits no parameter of the model; names begin with ",
            listed({parts.begin(), parts.end()}));
  }
}

void require_fitting(const std::vector<MasterWeights::Entry>& entries, const Recipe& recipe) {
  require_fitting(entries, "\"trainable\"", recipe.trainable);
  require_fitting(entries, "\"frozen\" or --freeze", recipe.frozen);
  require_fitting(entries, "\"zeroed\"", recipe.zeroed);
  require_fitting(entries, "\"bfloat16\"", recipe.bfloat16);
  std::vector<std::string> rates;
  for (const auto& [prefix, value] : recipe.optimizer.rates) rates.push_back(prefix);
  require_fitting(entries, "\"rates\"", rates);
}

}  // namespace

std::string adapter_name(const std::string& matrix, char which) {
  constexpr std::string_view kEnd = "weight";
  auto name = matrix.substr(0, matrix.size() - std::min(matrix.size(), kEnd.size()));
  return name + "lora_" + which + ".weight";
}

MasterWeights::MasterWeights(const GromaModelImpl& model, const Recipe& recipe, uint64_t seed,
                             at::Device device)
    : ema_(recipe.ema) {
  int64_t moving = 0;
  for (const auto& item : model.named_parameters()) {
    Entry entry;
    entry.name = item.key();
    entry.value = item.value()
                      .detach()
                      .to(device, at::kFloat, /*non_blocking=*/false, /*copy=*/true)
                      .contiguous();
    const bool zeroed = begins_with_any(entry.name, recipe.zeroed);
    if (zeroed) entry.value.zero_();
    entry.moves = begins_with_any(entry.name, recipe.trainable) &&
                  !begins_with_any(entry.name, recipe.frozen) && !zeroed;
    entries.push_back(std::move(entry));
  }
  if (recipe.lora.rank > 0) add_adapters(recipe.lora, seed, device);
  require_fitting(entries, recipe);
  for (const auto& entry : entries) moving += entry.moves ? entry.value.numel() : 0;
  require(moving > 0,
          "train: no parameter moves: \"frozen\", --freeze and \"zeroed\" hold all that ",
          "\"trainable\" names; leave some of them out");
  gradients = at::zeros({moving}, device);
  int64_t at = 0;
  for (auto& entry : entries) {
    if (!entry.moves) continue;
    const auto count = entry.value.numel();
    entry.gradient = gradients.narrow(0, at, count).view(entry.value.sizes());
    entry.first = at::zeros_like(entry.value);
    entry.second = at::zeros_like(entry.value);
    if (ema_ > 0) entry.average = entry.value.clone();
    entry.rate = value_for(recipe.optimizer.rates, entry.name, 1);
    entry.decay = decays(entry.name, entry.value) ? recipe.optimizer.weight_decay : 0;
    at += count;
  }
}

void MasterWeights::add_adapters(const LoraOptions& lora, uint64_t seed, at::Device device) {
  lora_scale = lora.alpha / static_cast<double>(lora.rank);
  const size_t count = entries.size();
  std::set<std::string> found;
  for (size_t base = 0; base < count; ++base) {
    const std::string name = entries[base].name;
    const auto target =
        std::find_if(lora.targets.begin(), lora.targets.end(), [&](const std::string& one) {
          return name.starts_with("llm.model.layers.") && name.ends_with("." + one + ".weight");
        });
    if (target == lora.targets.end()) continue;
    found.insert(*target);
    entries[base].moves = false;
    const auto out = entries[base].value.size(0), in = entries[base].value.size(1);
    Entry down, up;
    down.name = adapter_name(name, 'A');
    up.name = adapter_name(name, 'B');
    // Uniform below one way, nothing the other: training begins with the model as it was.
    auto random = at::make_generator<at::CPUGeneratorImpl>(seed + std::hash<std::string>()(name));
    const double bound = 1 / std::sqrt(static_cast<double>(in));
    down.value = at::empty({lora.rank, in}).uniform_(-bound, bound, random).to(device);
    up.value = at::zeros({out, lora.rank}, device);
    down.moves = up.moves = true;
    adapters.push_back({base, entries.size(), entries.size() + 1});
    entries.push_back(std::move(down));
    entries.push_back(std::move(up));
  }
  for (const auto& target : lora.targets) {
    require(found.contains(target), "train: '", target,
            "' of lora.targets fits no matrix of the language model; give q_proj, k_proj, v_proj, "
            "o_proj, gate_proj, up_proj, down_proj");
  }
}

void MasterWeights::swap_averages() {
  const at::NoGradGuard no_gradients;
  for (auto& entry : entries) {
    if (!entry.average.defined()) continue;
    const auto kept = entry.value.clone();
    entry.value.copy_(entry.average);
    entry.average.copy_(kept);
  }
}

at::Tensor MasterWeights::result(size_t entry) const {
  const auto best = [&](size_t i) {
    return entries[i].average.defined() ? entries[i].average : entries[i].value;
  };
  for (const auto& adapter : adapters) {
    if (adapter.base == entry) {
      return best(entry).add(best(adapter.up).matmul(best(adapter.down)), lora_scale);
    }
  }
  return best(entry);
}

double MasterWeights::update(const OptimizerOptions& options, double rate) {
  const at::NoGradGuard no_gradients;
  const double norm = gradients.norm().item<double>();
  if (!std::isfinite(norm)) return norm;  // the caller stops; nothing is spoilt
  if (norm > options.clip) gradients.mul_(options.clip / norm);
  ++updates;
  const auto step = at::full({}, static_cast<double>(updates), gradients.options());
  std::map<std::pair<double, double>, std::vector<Entry*>> groups;
  for (auto& entry : entries) {
    if (entry.moves && entry.rate > 0) groups[{entry.rate, entry.decay}].push_back(&entry);
  }
  for (const auto& [key, members] : groups) {
    std::vector<at::Tensor> values, gradient, first, second;
    for (auto* entry : members) {
      values.push_back(entry->value);
      gradient.push_back(entry->gradient);
      first.push_back(entry->first);
      second.push_back(entry->second);
    }
    const std::vector<at::Tensor> steps(members.size(), step);
    at::_fused_adamw_(values, gradient, first, second, {}, steps, rate * key.first,
                      options.betas[0], options.betas[1], key.second, options.epsilon,
                      /*amsgrad=*/false, /*maximize=*/false);
  }
  // The first steps count more, or the mean would long hold what the weights began with.
  const double early = (1 + static_cast<double>(updates)) / (10 + static_cast<double>(updates));
  for (auto& entry : entries) {
    if (entry.average.defined()) entry.average.lerp_(entry.value, 1 - std::min(ema_, early));
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
  const auto modules = model->named_modules();
  for (const auto& adapter : master.adapters) {
    const auto& name = master.entries[adapter.base].name;
    auto* linear = modules[name.substr(0, name.rfind('.'))]->as<nn::Linear>();
    TORCH_CHECK(linear, "replica: ", name, " is no matrix");
    adapted_.push_back(linear);
  }
  for (; i < master.entries.size(); ++i) {
    parameters_.push_back(master.entries[i].value.detach().requires_grad_(true));
  }
}

void Replica::merge_adapters() {
  for (size_t i = 0; i < adapted_.size(); ++i) {
    const auto& [base, down, up] = master_.adapters[i];
    const auto& matrix = parameters_[base];
    const auto product = parameters_[up].matmul(parameters_[down]) * master_.lora_scale;
    adapted_[i]->weight = matrix + product.to(matrix.scalar_type());
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

void Replica::hand_over(size_t entry, double share) {
  const at::NoGradGuard no_gradients;
  auto& gradient = parameters_[entry].mutable_grad();
  if (!gradient.defined()) return;
  master_.entries[entry].gradient.add_(gradient, share);
  gradient = at::Tensor();
}

}  // namespace groma::train
