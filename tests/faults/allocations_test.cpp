#include "faults/allocations.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <new>
#include <opencv2/core.hpp>
#include <vector>

#include "fuzz/support.h"
#include "fuzz/targets.h"

// Every reader when memory runs out at any moment: it says so, and nothing leaks.

namespace groma::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostInputs = 6;           // of one target, the largest
constexpr std::size_t kMostAllocations = 4'000;  // an input that needs more is passed over

std::vector<std::string> inputs_of(std::string_view target) {
  std::vector<std::string> inputs;
  const auto folder = fs::path(GROMA_SOURCE_DIR) / "tests" / "fuzz" / "corpus" / target;
  for (const auto& entry : fs::directory_iterator(folder)) {
    std::ifstream file(entry.path(), std::ios::binary);
    inputs.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  std::sort(inputs.begin(), inputs.end(),
            [](const auto& a, const auto& b) { return a.size() > b.size(); });
  return inputs;
}

/// How far the process that tries came; shared with it.
struct Progress {
  std::size_t n = 0;  // the allocation that fails
  bool leaked = false;
};

constexpr int kEnded = 43;

/// nlohmann/json allocates while it frees a tree and ends the program where that fails; where it
/// fails while a tree is built, parts of it are lost. What these targets read becomes a tree.
constexpr std::string_view kJsonTrees[] = {"answers",       "config",    "recipe",
                                           "saved_session", "tokenizer", "weight_index"};

bool makes_trees(const Target& target) {
  return std::find(std::begin(kJsonTrees), std::end(kJsonTrees), target.name) !=
         std::end(kJsonTrees);
}

/// Tries every allocation from `progress.n` on to the last of `needed`.
void try_from(const Target& target, const std::string& input, std::size_t needed,
              Progress& progress) {
  for (; progress.n <= needed; ++progress.n) {
    const auto before = testing::live_allocations();
    testing::fail_allocation(progress.n);
    try {
      target.run(input);
    } catch (const std::bad_alloc&) {
    } catch (const cv::Exception& error) {
      promise(error.code == cv::Error::StsNoMem, "only lack of memory is reported");
    }
    testing::fail_allocation(0);
    progress.leaked = testing::live_allocations() != before;
    if (progress.leaked && !makes_trees(target)) ::_exit(1);
  }
}

/// The same in processes of their own; a new one goes on where the JSON library ended the last.
void try_all(const Target& target, const std::string& input, std::size_t needed,
             Progress& progress) {
  progress = {1, false};
  while (progress.n <= needed) {
    const auto process = ::fork();
    if (process == 0) {
      std::set_terminate([] { ::_exit(kEnded); });
      try_from(target, input, needed, progress);
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(process, &status, 0);
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    const bool in_json = code == kEnded && makes_trees(target);
    ASSERT_TRUE(code == 0 || in_json)
        << "allocation " << progress.n << " of " << needed << ", status " << status
        << (progress.leaked ? ", leaks" : "");
    progress.n += in_json;
  }
}

class Allocations : public ::testing::TestWithParam<Target> {
 protected:
  Allocations()
      : progress_(static_cast<Progress*>(::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE,
                                                MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {}
  ~Allocations() override { ::munmap(progress_, sizeof(Progress)); }
  Progress* progress_;
};

TEST_P(Allocations, AnyOneMayFail) {
  memory_runs_out(true);
  const auto& target = GetParam();
  std::size_t tried = 0;
  for (const auto& input : inputs_of(target.name)) {
    for (int i = 0; i < 3; ++i) target.run(input);  // what is made once and kept is made now
    testing::fail_allocation(0);
    target.run(input);
    const auto needed = testing::allocations();
    if (needed > kMostAllocations) continue;
    if (tried++ == kMostInputs) break;
    ASSERT_NO_FATAL_FAILURE(try_all(target, input, needed, *progress_)) << input;
  }
  EXPECT_GT(tried, 0u);
}

INSTANTIATE_TEST_SUITE_P(Faults, Allocations, ::testing::ValuesIn(kTargets),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace groma::fuzz
