#include "io/json.h"

#include <gtest/gtest.h>

#include "folders.h"
#include "io/file.h"
#include "io/message.h"

namespace groma::io {
namespace {

using ::groma::testing::holds;
using ::groma::testing::message_of;

std::string nested(int depth) {
  return std::string(static_cast<std::size_t>(depth), '[') +
         std::string(static_cast<std::size_t>(depth), ']');
}

TEST(Json, ParsesObjects) {
  const auto parsed = parse_json(R"({"a": [1, {"a": null}], "b": {"a": 2.5}})", "t");
  EXPECT_EQ(parsed["b"]["a"], 2.5);
}

TEST(Json, RefusesWhatIsNotJson) {
  for (const auto* text : {"", "{", "{\"a\": 1,}", "[1] 2", "{\"a\": 1e999}", "\"\xff\"", "nan"}) {
    EXPECT_TRUE(holds(message_of([&] { parse_json(text, "c.json"); }), "'c.json': not valid JSON"))
        << text;
  }
}

TEST(Json, AMessageSaysWhatIsWrongInPlainLetters) {
  const auto message = message_of([] { parse_json("[1, \"\xff\"]", "t"); });
  EXPECT_TRUE(holds(message, "'t': not valid JSON (parse error at line 1")) << message;
  EXPECT_TRUE(holds(message, "\\xff")) << message;
  EXPECT_FALSE(holds(message, "exception")) << message;
}

TEST(Json, RefusesAKeyThatStandsTwice) {
  const auto message = message_of([] { parse_json(R"({"x": {"a": 1, "b": 2, "a": 3}})", "t"); });
  EXPECT_TRUE(holds(message, "key 'a' stands twice"));
}

TEST(Json, BoundsTheNesting) {
  EXPECT_NO_THROW(parse_json(nested(64), "t"));
  EXPECT_TRUE(holds(message_of([] { parse_json(nested(65), "t"); }), "nested deeper than 64"));
  EXPECT_TRUE(holds(message_of([] { parse_json(std::string(5'000'000, '['), "t"); }), "deeper"));
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_TRUE(holds(message_of([&] { parse_json(objects, "t"); }), "deeper"));
}

TEST(Json, AMessageStaysShort) {
  const auto message = message_of([] { parse_json("{\"" + std::string(1'000'000, 'a'), "t"); });
  EXPECT_LT(message.size(), 500u);
}

TEST(Json, WholeNumbersAreThoseWrittenAsSuchThatFit) {
  const auto as_byte = [](const char* text) {
    return value_as<std::uint8_t>(nlohmann::json::parse(text));
  };
  EXPECT_EQ(as_byte("255"), 255);
  for (const char* wrong : {"256", "-1", "1.0", "1e300", "-1e300", "true", "\"1\"", "null"}) {
    EXPECT_THROW(as_byte(wrong), nlohmann::json::exception) << wrong;
  }
  EXPECT_EQ(value_as<std::uint64_t>(nlohmann::json(UINT64_MAX)), UINT64_MAX);
  EXPECT_THROW(value_as<std::int64_t>(nlohmann::json(UINT64_MAX)), nlohmann::json::exception);
  EXPECT_EQ(value_as<std::vector<int>>(nlohmann::json({1, -2})), (std::vector<int>{1, -2}));
  EXPECT_THROW(value_as<std::vector<int>>(nlohmann::json({1, 2.5})), nlohmann::json::exception);
  EXPECT_THROW(value_as<std::vector<int>>(nlohmann::json(1)), nlohmann::json::exception);
  EXPECT_EQ(value_as<double>(nlohmann::json(2.5)), 2.5);
}

TEST(Json, ReadsAFileUpToTheLimit) {
  const testing::TemporaryFolder folder;
  const auto path = (folder.path() / "a.json").string();
  write_file(path, "[1, 2, 3]");
  EXPECT_EQ(read_json(path).size(), 3u);
  EXPECT_TRUE(holds(message_of([&] { read_json(path, 5); }), "more than 5 bytes"));
}

}  // namespace
}  // namespace groma::io
