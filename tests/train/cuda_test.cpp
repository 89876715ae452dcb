#include <ATen/Context.h>
#include <gtest/gtest.h>

#include <cmath>

#include "groma/error.h"
#include "train/tiny_run.h"

// Training on a GPU. What needs one is skipped without it.

namespace groma::train {
namespace {

using testing::options_for;
using testing::RunFolder;

/// The loss of each step.
std::vector<double> losses_of(TrainOptions options, Device device) {
  options.device = device;
  options.out += device == Device::kCuda ? "-cuda" : "-cpu";
  options.report_every = 1;
  std::vector<double> losses;
  train(options, [&](const TrainProgress& progress) { losses.push_back(progress.loss); });
  return losses;
}

TEST(TrainingOnCuda, WithoutAGpuItIsRefused) {
  if (at::hasCUDA()) GTEST_SKIP() << "there is a CUDA device";
  RunFolder folder("no-cuda");
  testing::write_tiny_model(folder);
  auto options = options_for(folder, testing::kDetection, "run");
  options.device = Device::kCuda;
  try {
    train(options);
    FAIL() << "trained on a device that is not there";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("train: device cuda: no CUDA device"),
              std::string::npos)
        << error.what();
  }
}

/// A recipe without bfloat16, whose rounding chooses other regions.
std::string in_float(std::string recipe) {
  for (const std::string half :
       {R"("bfloat16": ["perceiver.vis_encoder.", "region_encoder.", "img_txt_bridge."],)",
        R"("autocast": true,)"}) {
    const auto at = recipe.find(half);
    if (at != std::string::npos) recipe.erase(at, half.size());
  }
  return recipe;
}

// The first loss comes from the same weights and pictures; later ones drift apart with rounding.
TEST(TrainingOnCuda, FirstLossesAreThoseOfTheCpu) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  RunFolder folder("cuda");
  testing::write_tiny_model(folder);
  int run = 0;
  for (const char* recipe : {testing::kDetection, testing::kAlignment, testing::kInstruction}) {
    const auto options = options_for(folder, in_float(recipe), "run" + std::to_string(++run));
    const auto cpu = losses_of(options, Device::kCpu), cuda = losses_of(options, Device::kCuda);
    ASSERT_EQ(cpu.size(), cuda.size());
    EXPECT_NEAR(cuda[0], cpu[0], 0.01 * cpu[0]) << recipe;  // convolutions multiply in TF32
    for (const double loss : cuda) EXPECT_TRUE(std::isfinite(loss)) << recipe;
  }
}

TEST(TrainingOnCuda, ARunGoesOnOnTheOtherDevice) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  RunFolder folder("cuda-resume");
  testing::write_tiny_model(folder);
  std::string recipe = testing::kInstruction;
  recipe.insert(1, R"("ema": 0.9, "lora": {"rank": 2}, "accumulate": 2, "frozen": ["llm."],)");
  auto options = options_for(folder, recipe, "run");
  options.device = Device::kCuda;
  options.stop = [](int64_t step) { return step == 3; };
  EXPECT_TRUE(train(options).stopped);
  options.resume = true;
  options.device = Device::kCpu;
  options.stop = [](int64_t step) { return step == 6; };
  EXPECT_EQ(train(options).steps, 6);
  options.device = Device::kCuda;
  EXPECT_EQ(train(options).steps, 8);
}

}  // namespace
}  // namespace groma::train
