#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include "groma/groma.h"
#include "language/kv_cache.h"
#include "language/tokenizer.h"
#include "model.h"

namespace groma {

/// Throws an Error naming the option whose value is out of range.
void validate(const ChatOptions& options);

/// Throws an Error when one of the model's logits is NaN or infinite.
void require_finite(const at::Tensor& logits);

/// Which tokens may come next in an answer about `regions` regions.
///
/// Constrained, an answer names only regions that exist, holds no token that belongs to prompts,
/// and inside <roi> ... </roi> lists regions, each once, until it is closed.
class AnswerGrammar {
 public:
  AnswerGrammar(const SpecialIds& special, const LanguageConfig& language, int64_t regions,
                bool constrain);

  /// logits [V] float, changed in place: what may not come becomes -inf.
  void mask(at::Tensor& logits) const;
  void accept(int64_t id);
  /// The answer stands inside an unclosed <roi>.
  bool in_roi() const { return in_roi_; }
  bool constrained() const { return constrain_; }

 private:
  SpecialIds special_;
  int64_t regions_;
  bool constrain_;
  bool in_roi_ = false;
  std::vector<bool> named_;  // in the open <roi>
  at::Tensor never_;         // [V] bool, tokens that no answer holds
};

/// Draws tokens: greedy at temperature 0, else among the most probable (top-k, top-p).
class Sampler {
 public:
  explicit Sampler(const ChatOptions& options);
  /// logits [V] float
  int64_t pick(const at::Tensor& logits);

 private:
  double temperature_, top_p_;
  int top_k_;
  std::mt19937_64 random_;
};

/// One answer on its way.
struct AnswerTask {
  KvCache* cache = nullptr;  ///< holds the whole prompt
  at::Tensor logits;         ///< [V] after the prompt's last position
  int64_t regions = 0;       ///< number of regions
  const ChatOptions* options = nullptr;
  std::function<bool(int64_t id)> on_token;  ///< false ends the answer; may be empty

  std::vector<int64_t> ids;       ///< result; </s> included where the model ended
  std::vector<float> logprobs;    ///< result, of each id
  Finish finish = Finish::kStop;  ///< result
};

/// Generates all answers, one token of each a step, until every one has ended.
void generate(GromaModelImpl& model, const SpecialIds& special,
              const std::vector<AnswerTask*>& tasks);

}  // namespace groma
