#include "language/stream_decoder.h"

#include <gtest/gtest.h>

#include "groma/error.h"
#include "language/unicode.h"
#include "tokenizers.h"

namespace groma {
namespace {

using testing::ids_of;

std::string joined(const Tokenizer& tokenizer, std::initializer_list<const char*> texts) {
  StreamDecoder decoder(tokenizer);
  std::string text;
  for (const auto id : ids_of(tokenizer, texts)) text += decoder.feed(id);
  return text + decoder.finish();
}

TEST(StreamDecoder, ShowsWordsWithoutTags) {
  testing::TokenizerFolder folder;
  const auto tokenizer = folder.load();
  EXPECT_EQ(
      joined(tokenizer, {"<p>", "a", "_", "b", "</p>", "<roi>", "<r1>", "</roi>", "c", "</s>"}),
      "a b c");
  EXPECT_EQ(joined(tokenizer, {"_", "_", "a", "<0x0A>", "_", "b", "_"}), "a b");
  EXPECT_EQ(joined(tokenizer, {"a", "<unk>", "b", "[PAD]", "c"}), "abc");
  EXPECT_EQ(joined(tokenizer, {}), "");
  EXPECT_EQ(joined(tokenizer, {"<roi>", "<r1>", "</roi>"}), "");
}

TEST(StreamDecoder, KeepsPunctuationWhereATagWas) {
  testing::TokenizerFolder folder;
  const auto tokenizer = folder.load();
  EXPECT_EQ(joined(tokenizer, {"a", "</p>", ",", "_", "b"}), "a, b");
  EXPECT_EQ(joined(tokenizer, {"a", "</p>", "_", ",", "b"}), "a,b");
  EXPECT_EQ(joined(tokenizer, {"a", "</p>", "_", "_", ",", "b"}), "a ,b");
  EXPECT_EQ(joined(tokenizer, {"a", "_", ",", "b"}), "a ,b");
  EXPECT_EQ(joined(tokenizer, {"(", "<p>", "a", "</p>", ")", "b"}), "(a)b");
  EXPECT_EQ(joined(tokenizer, {"a", "</p>", "'", "s"}), "a's");
  EXPECT_EQ(joined(tokenizer, {"a", "</p>", "-", "b"}), "a -b");
}

TEST(StreamDecoder, HoldsBackIncompleteCharacters) {
  testing::TokenizerFolder folder;
  const auto tokenizer = folder.load();
  StreamDecoder decoder(tokenizer);
  const auto feed = [&](const char* text) { return decoder.feed(testing::id_of(tokenizer, text)); };
  EXPECT_EQ(feed("a"), "a");
  EXPECT_EQ(decoder.feed(testing::id_of(tokenizer, std::string(kSpaceMarker))), "");
  EXPECT_EQ(feed("<0xE6>"), "");
  EXPECT_EQ(feed("<0x97>"), "");
  EXPECT_EQ(feed("<0xA5>"), " 日");
  EXPECT_EQ(feed("<0xE6>"), "");
  EXPECT_EQ(feed("b"), "\uFFFDb");
  EXPECT_EQ(feed("<0xF0>"), "");
  EXPECT_EQ(feed("</p>"), "\uFFFD");
  EXPECT_EQ(feed("<0xC3>"), "");
  EXPECT_EQ(decoder.finish(), " \uFFFD");
}

/// `text` without what looks like a tag of an added token, white space collapsed.
std::string without_tags(const Tokenizer& tokenizer, const std::vector<int64_t>& ids) {
  std::string text, tidy;
  for (const auto& piece : tokenizer.decode_pieces(ids)) text += piece.tagged ? " " : piece.text;
  for (std::string_view rest = text; !rest.empty();) {
    const auto stripped = strip_left(rest);
    if (stripped.size() < rest.size() && !tidy.empty() && !stripped.empty()) tidy += ' ';
    rest = stripped;
    const auto length = first_character(rest);
    tidy += rest.substr(0, length);
    rest.remove_prefix(length);
  }
  return tidy;
}

// But for the spaces beside punctuation, the text is that of the whole decoded answer.
TEST(StreamDecoder, AgreesWithDecodingAllAtOnce) {
  for (const bool legacy : {false, true}) {
    testing::TokenizerFolder bytes, trained(testing::sentences());
    for (const auto& tokenizer : {bytes.legacy(legacy).load(), trained.legacy(legacy).load()}) {
      std::mt19937 random(17);
      for (int round = 0; round < 3000; ++round) {
        std::vector<int64_t> ids;
        for (const auto id : testing::random_ids(tokenizer, random)) {
          if (!tokenizer.is_skipped(id)) ids.push_back(id);
        }
        StreamDecoder decoder(tokenizer);
        std::string text;
        for (const auto id : ids) {
          const auto piece = decoder.feed(id);
          ASSERT_TRUE(valid_utf8(piece));
          ASSERT_TRUE(piece.empty() || piece.back() != ' ');
          text += piece;
        }
        text += decoder.finish();
        auto expected = without_tags(tokenizer, ids);
        const auto drop_spaces = [](std::string& x) {
          x.erase(std::remove(x.begin(), x.end(), ' '), x.end());
        };
        ASSERT_LE(text.size(), expected.size());
        drop_spaces(text);
        drop_spaces(expected);
        ASSERT_EQ(text, expected);
      }
    }
  }
}

TEST(StreamDecoder, RefusesIdsOutsideTheVocabulary) {
  testing::TokenizerFolder folder;
  const auto tokenizer = folder.load();
  StreamDecoder decoder(tokenizer);
  EXPECT_THROW(decoder.feed(-1), Error);
  EXPECT_THROW(decoder.feed(tokenizer.size()), Error);
}

}  // namespace
}  // namespace groma
