// Expected words are those of the Stanford PTBTokenizer 3.4.1 (-preserveLines -lowerCase).

#include "eval/ptb_tokenizer.h"

#include <gtest/gtest.h>

namespace groma::eval {
namespace {

std::string tokens(std::string_view text) {
  std::string out;
  for (const std::string& token : ptb_tokens(text)) out += (out.empty() ? "" : " ") + token;
  return out;
}

TEST(PtbTokenizer, SplitsContractions) {
  EXPECT_EQ(tokens("The man's dog isn't it can't cannot gonna"),
            "the man 's dog is n't it ca n't can not gon na");
  EXPECT_EQ(tokens("couldn't've who'd've y'all ma'am o'clock d'artagnan c'mon"),
            "could n't 've who 'd 've y' all ma'am o'clock d'artagnan c'mon");
  EXPECT_EQ(tokens("'tis the '90s 90's"), "'t is the '90s 90 's");
  EXPECT_EQ(tokens("don't-care women's/mens"), "do n't - care women 's / mens");
}

TEST(PtbTokenizer, KeepsHyphensSlashesAndNumbersTogether) {
  EXPECT_EQ(tokens("2-yr-old in a t-shirt - left/right"), "2-yr-old in a t-shirt - left/right");
  EXPECT_EQ(tokens("1,000 3.5 1/2 10:30am 5pm 6ft. $5 50% #1 2+2"),
            "1,000 3.5 1/2 10:30 am 5pm 6ft . $ 5 50 % # 1 2 +2");
  EXPECT_EQ(tokens("red,white top:left a,5 3,4"), "red , white top : left a ,5 3,4");
}

TEST(PtbTokenizer, KnowsAbbreviations) {
  EXPECT_EQ(tokens("mr. smith of st. louis in the u.s. at 5 p.m. vs. no. 5, no. left ok."),
            "mr. smith of st. louis in the u.s. at 5 p.m. vs. no. 5 , no . left ok .");
  EXPECT_EQ(tokens("left.right AT&T salt&pepper"), "left.right at&t salt & pepper");
}

TEST(PtbTokenizer, NamesBracketsInLowerCase) {
  EXPECT_EQ(tokens("man (in red) [x] <b>"), "man -lrb- in red -rrb- -lsb- x -rsb- <b>");
}

TEST(PtbTokenizer, ReplacesTypographicMarks) {
  EXPECT_EQ(tokens("dog\xE2\x80\x99s caf\xC3\x89 \xE2\x80\x93 \xC2\xBD"),
            "dog 's caf\xC3\xA9 -- 1/2");
}

TEST(PtbTokenizer, DropsPunctuationButNotBracketsOrRunsOfMarks) {
  EXPECT_EQ(caption_words("\"Wait...\" she said, (twice)!! no; yes -- ok?"),
            "wait she said -lrb- twice -rrb- !! no yes ok");
  EXPECT_EQ(caption_words(""), "");
  EXPECT_EQ(without_punctuation("a . b -LRB- , c"), "a b c");
}

TEST(PtbTokenizer, TakesAnyBytes) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += {static_cast<char>(i), '\'', static_cast<char>(255 - i)};
  EXPECT_FALSE(ptb_tokens(bytes).empty());
}

}  // namespace
}  // namespace groma::eval
