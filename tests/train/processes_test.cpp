#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "train/tiny_run.h"

// Several processes that train one model, started by mpirun as a user starts them.

namespace groma::train {
namespace {

std::string bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

int run(const std::string& command) { return std::system(command.c_str()); }

constexpr const char* kTwo =
    "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_NUM_THREADS=1 "
    "mpirun --oversubscribe --bind-to none -n 2 ";

std::string train_command(const testing::RunFolder& folder, const char* out, int threads) {
  return std::string(GROMA_PROGRAM) + " train --config " + (folder / "recipe.json") + " --model " +
         (folder / "model") + " --out " + (folder / out) + " --seed 3 --threads " +
         std::to_string(threads) + " > " + (folder / out) + ".txt 2>&1";
}

bool two_processes_start() { return run(std::string(kTwo) + "true > /dev/null 2>&1") == 0; }

TEST(Processes, TwoGiveTheSameBitsAsOneWithTwoThreads) {
  if (!two_processes_start()) GTEST_SKIP() << "no mpirun of Open MPI";
  testing::RunFolder folder("processes");
  testing::write_tiny_model(folder);
  std::string recipe = testing::kInstruction;
  recipe.insert(1, R"("accumulate": 2, "ema": 0.9,)");
  folder.write("recipe.json", recipe);
  ASSERT_EQ(run(train_command(folder, "one", 2)), 0) << bytes(folder / "one.txt");
  ASSERT_EQ(run(kTwo + train_command(folder, "two", 1)), 0) << bytes(folder / "two.txt");
  EXPECT_FALSE(bytes(folder / "one/state.safetensors").empty());
  EXPECT_EQ(bytes(folder / "one/state.safetensors"), bytes(folder / "two/state.safetensors"));
  EXPECT_EQ(bytes(folder / "one/model/model.safetensors"),
            bytes(folder / "two/model/model.safetensors"));
  EXPECT_EQ(bytes(folder / "one/train.csv"), bytes(folder / "two/train.csv"));
  EXPECT_EQ(bytes(folder / "one/validation.csv"), bytes(folder / "two/validation.csv"));
}

TEST(Processes, AMistakeEndsAllOfThem) {
  if (!two_processes_start()) GTEST_SKIP() << "no mpirun of Open MPI";
  testing::RunFolder folder("processes-wrong");
  testing::write_tiny_model(folder);
  folder.write("recipe.json", R"({"trainable": ["nothing."]})");
  EXPECT_NE(run(kTwo + train_command(folder, "run", 1)), 0);
  EXPECT_NE(bytes(folder / "run.txt").find("fits no parameter"), std::string::npos)
      << bytes(folder / "run.txt");
}

}  // namespace
}  // namespace groma::train
