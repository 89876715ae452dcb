#include "language/tokenizer_writer.h"

#include <gtest/gtest.h>

#include "groma/error.h"
#include "tokenizers.h"

namespace groma {
namespace {

TEST(TokenizerWriter, ByteTokenizerHasThePublishedOrder) {
  testing::TemporaryFolder folder;
  write_byte_tokenizer((folder.path() / "new" / "model").string(), 400, 100);
  const auto tokenizer = Tokenizer::load((folder.path() / "new" / "model").string());
  EXPECT_EQ(tokenizer.vocabulary(), 400);
  EXPECT_EQ(tokenizer.size(), 514);
  const auto& special = tokenizer.special();
  EXPECT_EQ(special.bos, 1);
  EXPECT_EQ(special.eos, 2);
  EXPECT_EQ(special.unk, 0);
  EXPECT_EQ(special.pad, 400);
  EXPECT_EQ(special.roi_begin, 404);
  EXPECT_EQ(special.phrase_begin, 406);
  EXPECT_EQ(special.image, 408);
  EXPECT_EQ(special.refer_feat, 412);
  EXPECT_EQ(special.grounding, 413);
  EXPECT_EQ(special.region_first, 414);
  EXPECT_EQ(special.region_count, 100);
}

TEST(TokenizerWriter, AnyTextComesBack) {
  testing::TokenizerFolder bytes, trained(testing::sentences());
  for (const auto& tokenizer : {bytes.load(), trained.load()}) {
    for (const std::string text : {"What is <r3>  doing?", "日本 😀\tx\n", "3.14159", "~`|\\"}) {
      EXPECT_EQ(tokenizer.decode(tokenizer.encode({{text, false}}), true), text);
    }
  }
}

TEST(TokenizerWriter, LearnsPiecesAndFillsUp) {
  testing::TokenizerFolder folder(testing::sentences());
  const auto tokenizer = folder.load();
  EXPECT_EQ(tokenizer.vocabulary(), 420);
  const std::string text = "the cat and the dog";
  EXPECT_LT(tokenizer.encode({{text, false}}).size(), text.size() / 2);
  // Digits stay apart.
  EXPECT_EQ(tokenizer.encode({{"2000", false}}).size(), 1u + 1 + 4);

  testing::TemporaryFolder other;
  write_trained_tokenizer(other.path().string(), {"a b"}, 5000, 3);
  EXPECT_EQ(Tokenizer::load(other.path().string()).vocabulary(), 5000);
}

TEST(TokenizerWriter, RefusesSizesThatCannotWork) {
  testing::TemporaryFolder folder;
  const auto path = folder.path().string();
  EXPECT_THROW(write_byte_tokenizer(path, 353, 100), Error);
  EXPECT_THROW(write_byte_tokenizer(path, int64_t{1} << 40, 100), Error);
  EXPECT_THROW(write_byte_tokenizer(path, 400, 0), Error);
  EXPECT_THROW(write_trained_tokenizer(path, {}, 400, 10), Error);
  EXPECT_THROW(write_trained_tokenizer(path, testing::sentences(), 261, 10), Error);
  EXPECT_NO_THROW(write_byte_tokenizer(path, 354, 1));
}

}  // namespace
}  // namespace groma
