#include <ATen/ATen.h>

#include <algorithm>

#include "check.h"
#include "session.h"

namespace groma {
namespace {

/// The question that the evaluation of referring expressions asks, see eval/questions.
std::vector<TextPiece> locating(const std::string& expression) {
  return {{"Locate <p>", true}, {expression, false}, {"</p> in the image.", true}};
}

}  // namespace

Ranking Session::Impl::rank(const std::string& expression) {
  require(expression.find_first_not_of(" \t\r\n") != std::string::npos,
          "rank: the expression is empty; say what to look for");
  const auto& tokenizer = engine->tokenizer;
  const auto& special = tokenizer.special();
  auto named = tokenizer.encode({{expression, false}});
  named.erase(named.begin(), std::find_if(named.begin(), named.end(),
                                          [&](int64_t id) { return id != special.bos; }));
  ChatOptions options;
  options.max_new_tokens = static_cast<int>(named.size()) + 3;  // room in the cache
  auto asked = open(locating(expression), at::empty({0, 4}), options);
  require_finite(asked.task.logits);
  const auto begins = asked.task.logits.softmax(0);
  const auto region = begins[special.roi_begin].item<float>();
  const auto phrase = begins[special.phrase_begin].item<float>();

  // The answer up to its first region, as the model would begin it.
  std::vector<int64_t> answer = {special.roi_begin};
  if (phrase > region) {
    answer = {special.phrase_begin};
    answer.insert(answer.end(), named.begin(), named.end());
    answer.insert(answer.end(), {special.phrase_end, special.roi_begin});
  }
  auto begun = cached_;
  begun.ids.insert(begun.ids.end(), answer.begin(), answer.end());
  begun.feature_of.insert(begun.feature_of.end(), answer.size(), -1);
  const auto logits = logits_from(begun, static_cast<int64_t>(begun.ids.size()) - 1)[0];
  require_finite(logits);

  Ranking ranking;
  ranking.present = region + phrase;
  const auto list = describe();
  const auto count = static_cast<int64_t>(list.size());
  const auto probabilities =
      logits.narrow(0, special.region_first, count).softmax(0).to(at::kFloat);
  for (int64_t k = 0; k < count; ++k) {
    ranking.regions.push_back({static_cast<int>(k), list[k].box, list[k].score,
                               probabilities.const_data_ptr<float>()[k]});
  }
  std::stable_sort(ranking.regions.begin(), ranking.regions.end(),
                   [](const auto& a, const auto& b) { return a.probability > b.probability; });
  return ranking;
}

Ranking Session::rank(const std::string& expression) try {
  const CallScope scope(*impl_->engine);
  return impl_->rank(expression);
} catch (...) {
  rethrow_with_advice("rank");
}

}  // namespace groma
