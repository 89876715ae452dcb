#include "language/llama.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include "init.h"
#include "support.h"

namespace groma {
namespace {

using testing::largest_difference;

LanguageConfig small(int64_t kv_heads) {
  LanguageConfig config;
  config.vocabulary = 20;
  config.hidden = 16;
  config.intermediate = 24;
  config.layers = 2;
  config.heads = 4;
  config.kv_heads = kv_heads;
  config.max_positions = 64;
  return config;
}

Llama random_llama(const LanguageConfig& config) {
  Llama llama(config);
  for (auto& item : llama->named_parameters()) {
    item.value().set_data(
        initial_value("llm.model." + item.key(), item.value().sizes(), ModelConfig{}, 1));
  }
  return llama;
}

at::Tensor rows(int64_t count, uint64_t seed) {
  return at::randn({count, 16}, at::make_generator<at::CPUGeneratorImpl>(seed));
}

at::Tensor alone(Llama& llama, const at::Tensor& x) {
  const Pack pack = {{x.size(0), nullptr, {}}};
  return llama(x, next_positions(pack), pack);
}

/// Sums of a few dozen products taken in another order differ by some units in the last place of
/// the largest value.
void expect_equal_sums(const at::Tensor& actual, const at::Tensor& expected) {
  EXPECT_LE(largest_difference(actual, expected), 1e-5 * testing::largest_magnitude(expected));
}

TEST(Llama, StepByStepOverTheCacheIsTheWholeAtOnce) {
  const c10::InferenceMode no_gradients;
  auto llama = random_llama(small(4));
  const auto x = rows(9, 1);
  const auto whole = alone(llama, x);
  KvCache cache(small(4), x.options());
  cache.reserve(6);
  std::vector<at::Tensor> parts;
  for (const auto& [first, count] : {std::pair{0, 4}, {4, 2}, {6, 1}, {7, 2}}) {
    cache.reserve(first + count);  // grows and keeps what is there
    const Pack pack = {{count, &cache, {}}};
    parts.push_back(llama(x.narrow(0, first, count), next_positions(pack), pack));
  }
  expect_equal_sums(at::cat(parts), whole);
  EXPECT_EQ(cache.length(), 9);
}

/// What a CUDA graph repeats: shapes and addresses are those of the step before.
TEST(Llama, StepsOfFixedShapeAreTheWholeAtOnce) {
  const c10::InferenceMode no_gradients;
  for (const int64_t kv_heads : {4, 2}) {
    auto llama = random_llama(small(kv_heads));
    const auto x = rows(9, 1);
    KvCache cache(small(kv_heads), x.options(), /*fixed_shape=*/true);
    cache.reserve(9);
    const Pack first = {{4, &cache, {}}};
    std::vector<at::Tensor> parts = {llama(x.narrow(0, 0, 4), next_positions(first), first)};
    const auto room = cache.append_at(at::tensor({8}, at::kLong), 0, at::ones({kv_heads, 1, 4}),
                                      at::ones({kv_heads, 1, 4}));
    for (int64_t i = 4; i < 9; ++i) {
      const auto place = at::tensor({i}, at::kLong);
      const Pack pack = {fixed_step(cache, place)};
      EXPECT_EQ(pack[0].mask.sizes(), (at::IntArrayRef{1, cache.capacity()}));
      parts.push_back(llama(x.narrow(0, i, 1), place, pack));
    }
    expect_equal_sums(at::cat(parts), alone(llama, x));
    EXPECT_EQ(cache.length(), 9);
    EXPECT_EQ(cache.capacity(), 256);
    EXPECT_EQ(room.first.size(1), 256);
    EXPECT_EQ(cache.stored(9)[0][0].equal(room.first.narrow(1, 0, 9)), true);  // where it was
  }
}

TEST(Llama, TruncatedCacheForgets) {
  const c10::InferenceMode no_gradients;
  auto llama = random_llama(small(4));
  const auto x = rows(5, 1), y = rows(5, 2);
  KvCache cache(small(4), x.options());
  cache.reserve(8);
  const auto feed = [&](const at::Tensor& input) {
    const Pack pack = {{input.size(0), &cache, {}}};
    return llama(input, next_positions(pack), pack);
  };
  feed(x);
  cache.truncate(3);
  const auto after = feed(y.narrow(0, 0, 2));
  const auto expected = alone(llama, at::cat({x.narrow(0, 0, 3), y.narrow(0, 0, 2)}));
  expect_equal_sums(after, expected.narrow(0, 3, 2));
  EXPECT_THROW(cache.truncate(6), c10::Error);
}

TEST(Llama, PackedSequencesDoNotSeeEachOther) {
  const c10::InferenceMode no_gradients;
  auto llama = random_llama(small(4));
  const auto x = rows(4, 1), y = rows(7, 2);
  const Pack pack = {{4, nullptr, {}}, {7, nullptr, {}}};
  const auto both = llama(at::cat({x, y}), next_positions(pack), pack);
  expect_equal_sums(both.narrow(0, 0, 4), alone(llama, x));
  expect_equal_sums(both.narrow(0, 4, 7), alone(llama, y));
}

TEST(Llama, MaskDecidesWhatIsSeen) {
  const c10::InferenceMode no_gradients;
  auto llama = random_llama(small(4));
  const auto x = rows(6, 1);
  const auto causal = at::ones({6, 6}, at::kBool).tril();
  const Pack masked = {{6, nullptr, causal}};
  expect_equal_sums(llama(x, next_positions(masked), masked), alone(llama, x));
}

TEST(Llama, FewerKeyHeadsAreSharedInOrder) {
  const c10::InferenceMode no_gradients;
  auto few = random_llama(small(2));
  auto many = random_llama(small(4));
  // Query heads 0, 1 share key head 0; heads 2, 3 share key head 1.
  auto source = few->named_parameters();
  for (auto& item : many->named_parameters()) {
    auto value = source[item.key()];
    if (item.key().find("k_proj") != std::string::npos ||
        item.key().find("v_proj") != std::string::npos) {
      value = value.unflatten(0, {2, 1, 4}).expand({2, 2, 4, 16}).reshape({16, 16});
    }
    item.value().set_data(value);
  }
  const auto x = rows(5, 3);
  expect_equal_sums(alone(few, x), alone(many, x));
}

TEST(Llama, HiddenStatesAreTheInputsOfTheLayers) {
  const c10::InferenceMode no_gradients;
  auto llama = random_llama(small(4));
  const auto x = rows(3, 1);
  const Pack pack = {{3, nullptr, {}}};
  std::vector<at::Tensor> hidden;
  const auto out = llama(x, next_positions(pack), pack, &hidden);
  ASSERT_EQ(hidden.size(), 3u);
  EXPECT_EQ(largest_difference(hidden[0], x), 0);
  EXPECT_EQ(largest_difference(llama->norm(hidden[2]), out), 0);
}

TEST(Rotary, TurnsPairsByTheirFrequency) {
  const auto positions = at::tensor({0, 3}, at::kLong);
  const Rotary rotary(positions, 4, 100.0);
  const auto turned = rotary.turn(at::tensor({1.f, 2.f, 3.f, 4.f}).expand({1, 2, 4}));
  // Channels 0 and 2 turn by position, 1 and 3 by position / 10.
  const auto at_three = turned[0][1];
  EXPECT_NEAR(at_three[0].item<double>(), std::cos(3.0) - 3 * std::sin(3.0), 1e-6);
  EXPECT_NEAR(at_three[2].item<double>(), 3 * std::cos(3.0) + std::sin(3.0), 1e-6);
  EXPECT_NEAR(at_three[1].item<double>(), 2 * std::cos(0.3) - 4 * std::sin(0.3), 1e-6);
  EXPECT_NEAR(at_three[3].item<double>(), 4 * std::cos(0.3) + 2 * std::sin(0.3), 1e-6);
  EXPECT_EQ(turned[0][0][1].item<double>(), 2);
}

}  // namespace
}  // namespace groma
