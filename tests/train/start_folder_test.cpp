#include "train/start_folder.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "groma/error.h"
#include "language/tokenizer.h"
#include "train/tiny_run.h"

namespace groma::train {
namespace {

std::string bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

constexpr const char* kFiles[] = {"config.json",           "tokenizer.model",
                                  "tokenizer_config.json", "special_tokens_map.json",
                                  "added_tokens.json",     "generation_config.json"};

TEST(StartFolder, TextOfOnesOwnGivesATokenizerThatKnowsItsWords) {
  testing::RunFolder folder("start-text");
  write_config(folder / "model", testing::tiny_config(400));
  StartOptions options;
  options.config = folder / "model/config.json";
  options.folder = folder / "start";
  std::string text;
  for (int i = 0; i < 50; ++i) text += "the zebra grazes beside a giraffe\n";
  options.texts = {folder.write("own.txt", text)};
  write_start_folder(options);
  const auto tokenizer = Tokenizer::load(options.folder);
  EXPECT_EQ(tokenizer.encode({{"the zebra", false}}).size(), 3);  // <s>, the, zebra
  EXPECT_EQ(bytes(folder / "start/config.json"), bytes(options.config));
  EXPECT_THROW(write_start_folder(options), Error);  // not empty any more
  options.folder = folder / "other";
  options.texts = {};
  EXPECT_THROW(write_start_folder(options), Error);  // nothing to learn from
}

TEST(StartFolder, TheSameOptionsGiveTheSameBytes) {
  testing::RunFolder folder("start-world");
  write_config(folder / "model", testing::tiny_config(600));
  StartOptions options;
  options.config = folder / "model/config.json";
  options.world = "shapes";
  options.scenes = 20;
  for (const char* name : {"one", "two"}) {
    options.folder = folder / name;
    write_start_folder(options);
  }
  for (const char* file : kFiles) {
    EXPECT_EQ(bytes(folder / "one" + "/" + file), bytes(folder / "two" + "/" + file)) << file;
  }
}

}  // namespace
}  // namespace groma::train
