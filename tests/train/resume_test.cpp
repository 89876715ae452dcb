#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <iterator>

#include "groma/error.h"
#include "train/tiny_run.h"

namespace groma::train {
namespace {

using testing::options_for;
using testing::RunFolder;

std::string bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Runs in a child process, which is killed once `step` steps are done.
void run_and_kill(const TrainOptions& options) {
  const auto child = fork();
  if (child == 0) {
    train(options, [](const TrainProgress&) {
      raise(SIGKILL);
      return true;
    });
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
}

/// An unbroken run and one that was killed after its first steps end with the same bits.
void expect_same_bits(const char* recipe, const std::string& name) {
  RunFolder folder(name);
  testing::write_tiny_model(folder);
  auto options = options_for(folder, recipe, "killed");
  // The child must come first: threads do not survive a fork.
  options.report_every = 5;
  run_and_kill(options);
  options.resume = true;
  EXPECT_EQ(train(options).steps, 8);
  options.resume = false;
  options.out = folder / "unbroken";
  EXPECT_EQ(train(options).steps, 8);
  const auto killed = bytes(folder / "killed/state.safetensors");
  EXPECT_FALSE(killed.empty());
  EXPECT_EQ(killed, bytes(folder / "unbroken/state.safetensors"));
  EXPECT_EQ(bytes(folder / "killed/model/model.safetensors"),
            bytes(folder / "unbroken/model/model.safetensors"));
}

TEST(Resume, DetectionEndsWithTheSameBits) { expect_same_bits(testing::kDetection, "detection"); }

TEST(Resume, AlignmentEndsWithTheSameBits) { expect_same_bits(testing::kAlignment, "alignment"); }

TEST(Resume, InstructionEndsWithTheSameBits) {
  expect_same_bits(testing::kInstruction, "instruction");
}

TEST(Resume, AdaptersAndRunningMeansEndWithTheSameBits) {
  std::string recipe = testing::kInstruction;
  recipe.insert(1, R"("ema": 0.9, "lora": {"rank": 2}, "accumulate": 2, "frozen": ["llm."],)");
  expect_same_bits(recipe.c_str(), "adapters");
}

TEST(Resume, ADivergingRunKeepsItsLastGoodState) {
  RunFolder folder("diverging");
  testing::write_tiny_model(folder);
  std::string recipe = testing::kDetection;
  recipe.replace(recipe.find("1e-3"), 4, "1e12");
  auto options = options_for(folder, recipe, "run");
  try {
    train(options);
    FAIL() << "a run with a rate of 1e12 did not diverge";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("the last checkpoint is good"), std::string::npos)
        << error.what();
  }
  // What is left learns on with a sane rate.
  options.recipe = folder.write("sane.json", testing::kDetection);
  options.resume = true;
  const auto result = train(options);
  EXPECT_EQ(result.steps, 8);
  EXPECT_LT(result.loss, 100);
}

TEST(Resume, OtherDataAreRefused) {
  RunFolder folder("other-data");
  testing::write_tiny_model(folder);
  auto options = options_for(folder, testing::kDetection, "run");
  options.steps = 1;
  train(options);
  options.resume = true;
  options.data.emplace_back();
  options.data[0].world = "shapes";
  options.data[0].share = 1;
  EXPECT_THROW(train(options), Error);
}

TEST(Resume, AnotherSeedIsRefused) {
  RunFolder folder("seed");
  testing::write_tiny_model(folder);
  auto options = options_for(folder, testing::kDetection, "run");
  options.steps = 1;
  train(options);
  options.resume = true;
  options.seed = 4;
  try {
    train(options);
    FAIL() << "resumed with another seed";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("run with seed 3, now 4"), std::string::npos)
        << error.what();
  }
}

TEST(Resume, NumbersBelowNothingAreRefused) {
  RunFolder folder("below");
  testing::write_tiny_model(folder);
  const auto options = options_for(folder, testing::kDetection, "run");
  auto wrong = options;
  wrong.steps = -1;
  EXPECT_THROW(train(wrong), Error);
  wrong = options;
  wrong.threads = -3;
  EXPECT_THROW(train(wrong), Error);
  EXPECT_FALSE(std::filesystem::exists(options.out));
}

TEST(Resume, AnOldRunIsNotOverwritten) {
  RunFolder folder("old");
  testing::write_tiny_model(folder);
  auto options = options_for(folder, testing::kDetection, "run");
  options.steps = 1;
  train(options);
  EXPECT_THROW(train(options), Error);
}

}  // namespace
}  // namespace groma::train
