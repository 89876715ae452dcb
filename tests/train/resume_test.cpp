#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <iterator>

#include "groma/error.h"
#include "io/message.h"
#include "io/safetensors.h"
#include "train/tiny_run.h"

namespace groma::train {
namespace {

using groma::testing::holds;
using groma::testing::message_of;
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
    train(options, [](const TrainProgress&) { raise(SIGKILL); });
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

/// Options that go on with a detection run of one step, which is done here.
TrainOptions after_one_step(const RunFolder& folder) {
  testing::write_tiny_model(folder);
  auto options = options_for(folder, testing::kDetection, "run");
  options.steps = 1;
  train(options);
  options.resume = true;
  return options;
}

TEST(Resume, OtherDataAreRefused) {
  RunFolder folder("other-data");
  auto options = after_one_step(folder);
  options.data.emplace_back();
  options.data[0].world = "shapes";
  options.data[0].share = 1;
  EXPECT_THROW(train(options), Error);
}

TEST(Resume, AnotherRecipeAndOtherThreadsAreSaid) {
  RunFolder folder("changed");
  testing::write_tiny_model(folder);
  auto options = options_for(folder, testing::kDetection, "run");
  std::string notes;
  options.on_note = [&](const std::string& note) { notes += note + "\n"; };
  options.steps = 1;
  train(options);
  options.resume = true;
  options.steps = 2;
  notes.clear();
  train(options);
  EXPECT_EQ(notes.find("resume:"), std::string::npos) << notes;
  std::string recipe = testing::kDetection;
  recipe.replace(recipe.find("1e-3"), 4, "2e-3");
  options.recipe = folder.write("other.json", recipe);
  options.threads = 1;
  options.steps = 3;
  EXPECT_EQ(train(options).steps, 3);
  EXPECT_NE(notes.find("the recipe was another one: /optimizer/rate 0.001, now 0.002\n"),
            std::string::npos)
      << notes;
  EXPECT_NE(notes.find("run with 2 threads over all processes, now with 1;"), std::string::npos)
      << notes;
}

TEST(Resume, AnotherSeedIsRefused) {
  RunFolder folder("seed");
  auto options = after_one_step(folder);
  options.seed = 4;
  EXPECT_TRUE(holds(message_of([&] { train(options); }), "run with seed 3, now 4"));
}

TEST(Resume, ADamagedStateIsRefused) {
  RunFolder folder("damaged");
  auto options = after_one_step(folder);
  const auto state = folder / "run/state.safetensors";
  const auto tensors = io::read_safetensors(state);
  const auto metadata = io::read_safetensors_metadata(state);
  for (const auto& [key, value] :
       {std::pair{"step", "-1"}, std::pair{"step", "9223372036854775808"},
        std::pair{"updates", "-1"}, std::pair{"threads", "0"}, std::pair{"seed", "3.5"}}) {
    auto other = metadata;
    other[key] = value;
    io::write_safetensors(state, tensors, other);
    const auto message = message_of([&] { train(options); });
    EXPECT_TRUE(holds(message, std::string(key) + " is '" + value + "', expected"));
  }
  auto wrong = tensors;
  auto& first = wrong.begin()->second;
  first = first.to(at::kInt);
  io::write_safetensors(state, wrong, metadata);
  const auto message = message_of([&] { train(options); });
  EXPECT_TRUE(holds(message, "is Int ["));
}

TEST(Resume, ARecipeOfAnotherStageIsRefused) {
  RunFolder folder("stage");
  testing::write_tiny_model(folder);
  auto options = options_for(folder, testing::kDetection, "run");
  options.stage = "alignment";
  const auto message = message_of([&] { train(options); });
  EXPECT_TRUE(holds(message, "the stage 'alignment' was asked for"));
  EXPECT_TRUE(holds(message, "a recipe of the stage 'detection'"));
  options.stage = "detection";
  options.steps = 1;
  EXPECT_EQ(train(options).steps, 1);
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

TEST(Resume, AStoppedRunIsSavedAtOnceAndEndsWithTheSameBits) {
  RunFolder folder("stopped");
  testing::write_tiny_model(folder);
  std::string recipe = testing::kDetection;
  recipe.replace(recipe.find("\"checkpoint_minutes\": 0"), 23, "\"checkpoint_minutes\": 60");
  auto options = options_for(folder, recipe, "stopped");
  std::vector<std::string> notes;
  options.on_note = [&](const std::string& note) { notes.push_back(note); };
  options.stop = [](int64_t step) { return step == 3; };  // no step that reports
  const auto stopped = train(options);
  EXPECT_TRUE(stopped.stopped);
  EXPECT_EQ(stopped.steps, 3);
  ASSERT_EQ(notes.size(), 1);
  EXPECT_NE(notes[0].find("parameters move, on world shapes; steps 0 to 8 on cpu with 2 threads"),
            std::string::npos)
      << notes[0];
  EXPECT_FALSE(std::filesystem::exists(options.out + "/model"));
  options.resume = true;
  options.stop = [](int64_t step) { return step == 8; };  // too late: that is the end
  EXPECT_FALSE(train(options).stopped);
  ASSERT_EQ(notes.size(), 2);
  EXPECT_NE(notes[1].find("steps 3 to 8"), std::string::npos) << notes[1];
  auto unbroken = options_for(folder, recipe, "unbroken");
  EXPECT_EQ(train(unbroken).steps, 8);
  EXPECT_EQ(bytes(options.out + "/state.safetensors"), bytes(unbroken.out + "/state.safetensors"));
  EXPECT_EQ(bytes(options.out + "/model/model.safetensors"),
            bytes(unbroken.out + "/model/model.safetensors"));
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
