#include "language/generate.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "check.h"

namespace groma {

void validate(const ChatOptions& options) {
  require(options.max_new_tokens >= 1, "chat: max_new_tokens is ", options.max_new_tokens,
          "; give at least 1");
  require(std::isfinite(options.temperature) && options.temperature >= 0, "chat: temperature is ",
          options.temperature, "; give 0 (greedy) or more");
  require(options.top_p > 0 && options.top_p <= 1, "chat: top_p is ", options.top_p,
          "; give a value in (0, 1]");
  require(options.top_k >= 0, "chat: top_k is ", options.top_k, "; give 0 (all) or more");
}

void require_finite(const at::Tensor& logits) {
  require(at::isfinite(logits).all().item<bool>(),
          "choose a token: the model's logits hold NaN or infinity; its weights are damaged or too "
          "large for this dtype: get them again or compute in fp32");
}

AnswerGrammar::AnswerGrammar(const SpecialIds& special, const LanguageConfig& language,
                             int64_t regions, bool constrain)
    : special_(special), regions_(regions), constrain_(constrain), named_(regions, false) {
  if (!constrain) return;
  // All that follows the language model's own vocabulary is barred, but the tokens of answers.
  never_ = at::zeros({language.vocabulary + language.new_tokens}, at::kBool);
  never_.narrow(0, language.vocabulary, language.new_tokens).fill_(true);
  auto* never = never_.data_ptr<bool>();
  never[special.bos] = never[special.unk] = true;
  for (const auto id : {special.phrase_begin, special.phrase_end, special.roi_begin}) {
    never[id] = false;
  }
  for (int64_t k = 0; k < regions; ++k) never[special.region_first + k] = false;
}

void AnswerGrammar::mask(at::Tensor& logits) const {
  if (!constrain_) return;
  constexpr auto kNever = -std::numeric_limits<float>::infinity();
  if (!in_roi_) {
    logits.masked_fill_(never_, kNever);
    return;
  }
  const auto* in = logits.const_data_ptr<float>();
  auto masked = at::full_like(logits, kNever);
  auto* out = masked.data_ptr<float>();
  bool any = false;
  for (int64_t k = 0; k < regions_; ++k) {
    if (named_[k]) {
      any = true;
    } else {
      out[special_.region_first + k] = in[special_.region_first + k];
    }
  }
  if (any) out[special_.roi_end] = in[special_.roi_end];
  logits = masked;
}

void AnswerGrammar::accept(int64_t id) {
  if (id == special_.roi_begin) {
    in_roi_ = true;
    std::fill(named_.begin(), named_.end(), false);
  } else if (id == special_.roi_end) {
    in_roi_ = false;
  } else if (in_roi_ && id >= special_.region_first && id < special_.region_first + regions_) {
    named_[id - special_.region_first] = true;
  }
}

Sampler::Sampler(const ChatOptions& options)
    : temperature_(options.temperature),
      top_p_(options.top_p),
      top_k_(options.top_k),
      random_(options.seed) {}

int64_t Sampler::pick(const at::Tensor& logits) {
  const auto count = logits.numel();
  const auto* values = logits.const_data_ptr<float>();
  if (temperature_ == 0) return std::max_element(values, values + count) - values;
  std::vector<int64_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return values[a] > values[b]; });
  if (top_k_ > 0 && top_k_ < count) order.resize(top_k_);
  std::vector<double> weights;
  double total = 0;
  for (const auto id : order) {
    weights.push_back(std::exp((values[id] - values[order[0]]) / temperature_));
    total += weights.back();
  }
  double kept = 0;
  size_t last = 0;
  while (last < weights.size() && (last == 0 || kept < top_p_ * total)) kept += weights[last++];
  // Drawn by hand: the standard's distributions differ between libraries.
  double draw = static_cast<double>(random_() >> 11) * 0x1.0p-53 * kept;
  size_t i = 0;
  while (i + 1 < last && draw >= weights[i]) draw -= weights[i++];
  return order[i];
}

namespace {

/// An answer that still runs, with what decides its next token.
struct Running {
  AnswerTask* task;
  AnswerGrammar grammar;
  Sampler sampler;
  int64_t room;  // positions left in the context
};

/// Takes the next token of an answer; returns false when the answer has ended.
bool take_token(Running& run, const SpecialIds& special) {
  auto& task = *run.task;
  require_finite(task.logits);
  run.grammar.mask(task.logits);
  const auto id = run.sampler.pick(task.logits);
  const auto logprob = task.logits[id].item<float>() - task.logits.logsumexp(0).item<float>();
  task.ids.push_back(id);
  task.logprobs.push_back(logprob);
  run.grammar.accept(id);
  if (id == special.eos) {
    task.finish = Finish::kStop;
    return false;
  }
  if (task.on_token && !task.on_token(id)) {
    task.finish = Finish::kCancelled;
  } else if (static_cast<int>(task.ids.size()) >= task.options->max_new_tokens || run.room <= 0) {
    task.finish = Finish::kLength;
  } else {
    --run.room;
    return true;
  }
  if (run.grammar.constrained() && run.grammar.in_roi()) {
    task.ids.push_back(special.roi_end);
    task.logprobs.push_back(0);
  }
  return false;
}

}  // namespace

void generate(GromaModelImpl& model, const SpecialIds& special,
              const std::vector<AnswerTask*>& tasks) {
  const auto& language = model.config.language;
  std::vector<Running> running;
  for (auto* task : tasks) {
    running.push_back({task,
                       AnswerGrammar(special, language, task->regions, task->options->constrain),
                       Sampler(*task->options), language.max_positions - task->cache->length()});
  }
  while (true) {
    std::erase_if(running, [&](Running& run) { return !take_token(run, special); });
    if (running.empty()) return;
    auto ids = at::empty({static_cast<int64_t>(running.size())}, at::kLong);
    auto places = at::empty_like(ids);
    for (size_t i = 0; i < running.size(); ++i) {
      ids.data_ptr<int64_t>()[i] = running[i].task->ids.back();
      places.data_ptr<int64_t>()[i] = running[i].task->cache->length();
    }
    const auto device = model.lm_head->weight.device();
    places = places.to(device);
    Pack pack;
    for (size_t i = 0; i < running.size(); ++i) {
      auto& cache = *running[i].task->cache;
      pack.push_back(cache.fixed_shape()
                         ? fixed_step(cache, places.narrow(0, static_cast<int64_t>(i), 1))
                         : PackedSequence{1, &cache, {}});
    }
    const auto hidden = model.llm(model.embed(ids.to(device)), places, pack);
    const auto logits = model.logits(hidden).to(at::kCPU);
    for (size_t i = 0; i < running.size(); ++i) {
      running[i].task->logits = logits[static_cast<int64_t>(i)].contiguous();
    }
  }
}

}  // namespace groma
