#include "language/generate.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "io/message.h"

namespace groma {
namespace {

/// Ten words, then <p> </p> <roi> </roi> <image> <r0> <r1> <r2>.
SpecialIds ids() {
  SpecialIds special;
  special.phrase_begin = 10;
  special.phrase_end = 11;
  special.roi_begin = 12;
  special.roi_end = 13;
  special.image = 14;
  special.region_first = 15;
  special.region_count = 3;
  return special;
}

LanguageConfig language() {
  LanguageConfig config;
  config.vocabulary = 10;
  config.new_tokens = 8;
  return config;
}

std::vector<int64_t> allowed(const AnswerGrammar& grammar) {
  auto logits = at::zeros({18});
  grammar.mask(logits);
  std::vector<int64_t> list;
  for (int64_t i = 0; i < 18; ++i) {
    if (std::isfinite(logits[i].item<float>())) list.push_back(i);
  }
  return list;
}

TEST(AnswerGrammar, AllowsWordsTagsAndExistingRegions) {
  const AnswerGrammar grammar(ids(), language(), /*regions=*/2, /*constrain=*/true);
  EXPECT_EQ(allowed(grammar), (std::vector<int64_t>{2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 16}));
}

TEST(AnswerGrammar, InsideARegionListNamesEachRegionOnceThenCloses) {
  AnswerGrammar grammar(ids(), language(), 2, true);
  grammar.accept(12);
  EXPECT_TRUE(grammar.in_roi());
  EXPECT_EQ(allowed(grammar), (std::vector<int64_t>{15, 16}));
  grammar.accept(16);
  EXPECT_EQ(allowed(grammar), (std::vector<int64_t>{13, 15}));
  grammar.accept(15);
  EXPECT_EQ(allowed(grammar), (std::vector<int64_t>{13}));
  grammar.accept(13);
  EXPECT_FALSE(grammar.in_roi());
  grammar.accept(12);  // a new list begins anew
  EXPECT_EQ(allowed(grammar), (std::vector<int64_t>{15, 16}));
}

TEST(Logits, ThatAreNotFiniteAreRefused) {
  EXPECT_NO_THROW(require_finite(at::tensor({0.f, -1e30f})));
  for (const float value : {NAN, INFINITY, -INFINITY}) {
    const auto refusal = testing::message_of([&] { require_finite(at::tensor({0.f, value})); });
    EXPECT_TRUE(testing::holds(refusal, "the model's logits hold NaN or infinity"));
  }
}

TEST(AnswerGrammar, UnconstrainedAllowsEverything) {
  AnswerGrammar grammar(ids(), language(), 2, false);
  grammar.accept(12);
  EXPECT_EQ(allowed(grammar).size(), 18u);
}

TEST(Sampler, GreedyTakesTheFirstOfTheLargest) {
  Sampler sampler(ChatOptions{});
  EXPECT_EQ(sampler.pick(at::tensor({0.f, 2.f, 1.f, 2.f})), 1);
}

std::array<double, 4> shares(ChatOptions options) {
  options.seed = 11;
  Sampler sampler(options);
  const auto logits = at::log(at::tensor({0.5f, 0.25f, 0.15f, 0.1f}));
  std::array<double, 4> count{};
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) count[sampler.pick(logits)] += 1.0 / kDraws;
  return count;
}

TEST(Sampler, DrawsByProbability) {
  ChatOptions options;
  options.temperature = 1;
  const auto share = shares(options);
  // Four standard errors of 20,000 draws.
  EXPECT_NEAR(share[0], 0.5, 0.0142);
  EXPECT_NEAR(share[3], 0.1, 0.0085);
}

TEST(Sampler, TopKKeepsTheBest) {
  ChatOptions options;
  options.temperature = 1;
  options.top_k = 2;
  const auto share = shares(options);
  EXPECT_NEAR(share[0], 2.0 / 3, 0.0134);
  EXPECT_EQ(share[2] + share[3], 0);
}

TEST(Sampler, TopPKeepsTheFewestThatHoldTheShare) {
  ChatOptions options;
  options.temperature = 1;
  options.top_p = 0.6;  // 0.5 is not enough, 0.75 is
  const auto share = shares(options);
  EXPECT_NEAR(share[1], 1.0 / 3, 0.0134);
  EXPECT_EQ(share[2] + share[3], 0);
}

TEST(Sampler, LowTemperatureSharpens) {
  ChatOptions options;
  options.temperature = 0.5;  // squares the probabilities
  EXPECT_NEAR(shares(options)[0], 0.25 / 0.345, 0.0127);
}

}  // namespace
}  // namespace groma
