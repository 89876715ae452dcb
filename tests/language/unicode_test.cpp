#include "language/unicode.h"

#include <gtest/gtest.h>

namespace groma {
namespace {

TEST(Unicode, ReadsCharactersOfEveryLength) {
  char32_t code = 0;
  EXPECT_EQ(first_character("a", &code), 1u);
  EXPECT_EQ(code, U'a');
  EXPECT_EQ(first_character("éx", &code), 2u);
  EXPECT_EQ(code, U'é');
  EXPECT_EQ(first_character("日", &code), 3u);
  EXPECT_EQ(code, U'日');
  EXPECT_EQ(first_character("😀", &code), 4u);
  EXPECT_EQ(code, U'😀');
  EXPECT_EQ(first_character(std::string_view("\0", 1), &code), 1u);
  EXPECT_EQ(code, U'\0');
}

TEST(Unicode, RefusesWhatIsNotUtf8) {
  for (const char* bytes : {"\x80", "\xC3", "\xC0\xAF", "\xE0\x80\x80", "\xED\xA0\x80", "\xE3\x81",
                            "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "\xFF", "\xE3\x28\xA1"}) {
    char32_t code = 0;
    EXPECT_EQ(first_character(bytes, &code), 0u) << testing::PrintToString(bytes);
    EXPECT_EQ(code, kReplacementCharacter);
    EXPECT_FALSE(valid_utf8(bytes));
  }
  EXPECT_EQ(first_character(""), 0u);
  EXPECT_TRUE(valid_utf8(""));
}

TEST(Unicode, ReplacesEachStrayByte) {
  EXPECT_EQ(replace_invalid_utf8("a\xE3\x81z\xFF"), "a\uFFFD\uFFFDz\uFFFD");
  EXPECT_EQ(replace_invalid_utf8("日本"), "日本");
}

TEST(Unicode, StripsTheWhiteSpaceThatPythonStrips) {
  EXPECT_EQ(strip(" \t\n\u00a0\u3000\x1c a b \u2028\u0085"), "a b");
  EXPECT_EQ(strip("\u200b\u2581"), "\u200b\u2581");
  EXPECT_EQ(strip_left(" a "), "a ");
  EXPECT_EQ(strip_right(" a "), " a");
  EXPECT_EQ(strip(" \u3000 "), "");
  EXPECT_EQ(strip("\x80 "), "\x80");
}

}  // namespace
}  // namespace groma
