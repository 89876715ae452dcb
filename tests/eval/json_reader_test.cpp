#include "eval/json_reader.h"

#include <gtest/gtest.h>

#include "io/message.h"

namespace groma::eval {
namespace {

using testing::holds;
using testing::message_of;

TEST(JsonReader, ReadsEveryKindOfValue) {
  JsonReader json(R"({"a": [1, -2.5e3, 9007199254740993], "b": "x\n\u00e9\ud83d\ude00\"",
                      "c\u0041": true, "skipped": {"deep": [[{"}": "]"}]]}, "d": null, "e": 1})",
                  "f");
  std::vector<double> numbers;
  std::string text;
  int flags = 0;
  json.object([&](std::string_view key) {
    if (key == "a") numbers = json.numbers();
    if (key == "b") text = json.string();
    if (key == "cA" || key == "d" || key == "e") flags += json.flag();
  });
  json.finish();
  EXPECT_EQ(numbers, (std::vector<double>{1, -2500, 9007199254740992.0}));
  EXPECT_EQ(text, "x\n\xC3\xA9\xF0\x9F\x98\x80\"");
  EXPECT_EQ(flags, 2);
  JsonReader exact("9007199254740993", "f");
  EXPECT_EQ(exact.integer(), 9007199254740993);
}

/// Reads {"list": [{"n": integer}, ...]} and tells what was wrong.
std::string refusal(std::string_view text) {
  return message_of([&] {
    JsonReader json(text, "a.json");
    json.object([&](std::string_view key) {
      if (key != "list") return;
      json.array([&](std::size_t) {
        json.object([&](std::string_view name) {
          if (name == "n") json.integer();
          if (name == "x") json.number();
        });
      });
    });
    json.finish();
  });
}

TEST(JsonReader, NamesFilePlaceAndWhatItFound) {
  EXPECT_TRUE(holds(refusal(R"({"list": [{"n": 1}, {"n": "1"}]})"),
                    "read 'a.json': list[1].n: found '\"1\"', expected a number"));
  EXPECT_TRUE(
      holds(refusal(R"({"list": [{"n": 1.5}]})"), "list[0].n: found 1.5, expected a whole"));
  EXPECT_TRUE(
      holds(refusal(R"({"list": [{"x": NaN}]})"), "list[0].x: found NaN, expected a finite"));
  EXPECT_TRUE(holds(refusal(R"({"list": [{"x": -Infinity}]})"), "found -Infinity"));
  EXPECT_TRUE(holds(refusal(R"({"list": [{"x": 1e999}]})"), "too large"));
  EXPECT_TRUE(holds(refusal(R"({"list": [{"x": 1-2}]})"), "found 1-2"));
  EXPECT_TRUE(holds(refusal(R"({"list": {}})"), "list: found an object, expected a list"));
  EXPECT_TRUE(holds(refusal(R"({"list": []} x)"), "more text"));
  EXPECT_TRUE(holds(refusal("[]"), "found a list, expected an object"));
  EXPECT_TRUE(holds(refusal(R"({"other": )" + std::string(100, '[')), "nested deeper than 64"));
}

TEST(JsonReader, EveryCutIsNoticed) {
  const std::string text = R"({"list": [{"n": 12, "s": "a\"b"}, {"x": 1.5}], "more": [[1], {}]})";
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_NE(refusal(text.substr(0, size)), "") << size;
  }
}

TEST(JsonReader, WhatIsKeptAsTextIsJson) {
  JsonReader good(R"({"blind": [[1, 2]]})", "f");
  std::string kept;
  good.object([&](std::string_view) { kept = good.raw(); });
  EXPECT_EQ(kept, "[[1, 2]]");
  for (const char* value : {"[1 2]", "NaN", "{\"a\" 1}", "\"\\x\""}) {
    const std::string text = std::string("{\"blind\": ") + value + "}";
    JsonReader bad(text, "a.json");
    const std::string message =
        testing::message_of([&] { bad.object([&](std::string_view) { bad.raw(); }); });
    EXPECT_TRUE(testing::holds(message, "read 'a.json': blind: the value is not JSON")) << message;
  }
}

TEST(JsonReader, TooSmallANumberIsZero) {
  JsonReader json("1e-999", "f");
  EXPECT_EQ(json.number(), 0);
}

}  // namespace
}  // namespace groma::eval
