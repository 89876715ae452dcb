#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "fuzz/targets.h"

// Runs every target over its corpus without a fuzzer; see scripts/fuzz.sh.

namespace groma::fuzz {
namespace {

class Corpus : public ::testing::TestWithParam<Target> {};

TEST_P(Corpus, EveryInputIsTakenOrRefused) {
  const auto& target = GetParam();
  const auto folder =
      std::filesystem::path(GROMA_SOURCE_DIR) / "tests" / "fuzz" / "corpus" / target.name;
  target.run("");
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string input{std::istreambuf_iterator<char>(file), {}};
    SCOPED_TRACE(entry.path());
    EXPECT_NO_THROW(target.run(input)) << entry.path();
    ++count;
  }
  EXPECT_GT(count, 0u);
}

INSTANTIATE_TEST_SUITE_P(Fuzz, Corpus, ::testing::ValuesIn(kTargets),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace groma::fuzz
