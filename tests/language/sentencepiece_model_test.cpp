#include "language/sentencepiece_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>

#include "groma/error.h"
#include "language/charsmap.h"
#include "tokenizers.h"

namespace groma {
namespace {

using Type = SentencePieceModel::Type;

SentencePieceModel small_model() {
  testing::TokenizerFolder folder;
  return parse_sentencepiece(testing::read_bytes(folder.path() + "/tokenizer.model"), "m");
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

/// The complaint about a model after `change`.
std::string complaint(const std::function<void(SentencePieceModel&)>& change) {
  auto model = small_model();
  change(model);
  return message_of([&] { parse_sentencepiece(serialize(model), "m"); });
}

void expect_mentions(const std::string& message, const std::string& part) {
  EXPECT_NE(message.find(part), std::string::npos) << message;
}

TEST(SentencePieceModel, WhatIsWrittenIsReadAgain) {
  auto model = small_model();
  model.pieces[300].score = -3.25f;
  model.algorithm = SentencePieceModel::Algorithm::kUnigram;
  model.unknown_surface = "?";
  model.whitespace_as_suffix = true;
  model.escape_whitespaces = false;
  const auto bytes = serialize(model);
  const auto again = parse_sentencepiece(bytes, "m");
  ASSERT_EQ(again.pieces.size(), model.pieces.size());
  for (std::size_t i = 0; i < model.pieces.size(); ++i) {
    EXPECT_EQ(again.pieces[i].text, model.pieces[i].text);
    EXPECT_EQ(again.pieces[i].score, model.pieces[i].score);
    EXPECT_EQ(again.pieces[i].type, model.pieces[i].type);
  }
  EXPECT_EQ(serialize(again), bytes);
}

TEST(SentencePieceModel, NamesBytes) {
  EXPECT_EQ(byte_piece(0x0A), "<0x0A>");
  for (int byte = 0; byte < 256; ++byte) EXPECT_EQ(byte_of_piece(byte_piece(byte)), byte);
  for (const char* text : {"<0x0a>", "<0xGG>", "<0x0>", "0x0A", "<0x0AB>", ""}) {
    EXPECT_EQ(byte_of_piece(text), -1) << text;
  }
}

TEST(SentencePieceModel, RefusesContradictoryPieces) {
  const auto set_type = [](std::size_t id, Type type) {
    return [=](SentencePieceModel& m) { m.pieces[id].type = type; };
  };
  const auto set_text = [](std::size_t id, std::string text) {
    return [=](SentencePieceModel& m) { m.pieces[id].text = text; };
  };
  expect_mentions(complaint(set_text(300, "")), "has 0 bytes");
  expect_mentions(complaint(set_text(300, std::string(300, 'a'))), "has 300 bytes");
  expect_mentions(complaint(set_text(300, std::string("a\0b", 3))), "is not text");
  expect_mentions(complaint(set_text(300, "a")), "stands twice");
  expect_mentions(complaint(set_text(300, "\xE3")), "not UTF-8");
  expect_mentions(complaint(set_text(3, "<0xZZ>")), "does not name a byte");
  expect_mentions(complaint(set_text(1, "x")), "control symbol of one character");
  expect_mentions(complaint(set_type(0, Type::kNormal)), "0 unknown pieces");
  expect_mentions(complaint(set_type(1, Type::kUnknown)), "2 unknown pieces");
  expect_mentions(complaint(set_type(3, Type::kNormal)), "255 byte pieces");
  expect_mentions(complaint(set_type(3, static_cast<Type>(7))), "has type 7");
  expect_mentions(complaint([](auto& m) { m.byte_fallback = false; }), "without byte_fallback");
  expect_mentions(complaint([](auto& m) { m.pieces[300].score = std::nanf(""); }), "not a number");
  expect_mentions(complaint([](auto& m) { m.pieces.clear(); }), "no pieces of text");
  expect_mentions(complaint([](auto& m) { m.algorithm = static_cast<decltype(m.algorithm)>(3); }),
                  "model type 3");
}

// sentencepiece 0.1.97 keeps 64 matches of user-defined symbols on its stack and reads on.
TEST(SentencePieceModel, RefusesManySymbolsThatBeginAlike) {
  const auto nested = [](std::size_t count) {
    return complaint([&](auto& m) {
      for (std::size_t i = 2; i < count + 2; ++i) {
        m.pieces.push_back({std::string(i, '#'), 0, Type::kUserDefined});
      }
    });
  };
  EXPECT_EQ(nested(64), "no error");
  expect_mentions(nested(65), "begin with one another");
}

TEST(SentencePieceModel, RefusesBrokenProtocolBuffers) {
  const auto bytes = serialize(small_model());
  const auto parse = [](const std::string& data) {
    return message_of([&] { parse_sentencepiece(data, "m"); });
  };
  expect_mentions(parse(bytes + '\x0A' + '\x7F'), "127 bytes are announced, 0 are left");
  expect_mentions(parse(bytes + "\x0A" + std::string(9, '\xFF') + "\x01"), "are announced");
  expect_mentions(parse(bytes + std::string(11, '\xFF')), "more than ten bytes");
  expect_mentions(parse(bytes + "\x0B"), "wire type 3");
  expect_mentions(parse(bytes + std::string("\x08\x01", 2)), "wire type 0, expected 2");
  expect_mentions(parse(bytes + std::string("\x02\x00", 2)), "field number 0");
  expect_mentions(parse("not a model"), "m");
  // Fields that we do not know are no fault.
  EXPECT_EQ(parse(bytes + std::string("\xC2\x0C\x01x", 4)), "no error");
}

TEST(SentencePieceModel, RefusesToRewriteDecodedText) {
  const auto bytes = serialize(small_model()) + std::string("\x2A\x03\x12\x01x", 5);
  expect_mentions(message_of([&] { parse_sentencepiece(bytes, "m"); }), "denormalizer_spec");
}

// ---- compiled normalisation

/// A double array with the keys "a", "aa", ... up to `keys` letters, all of which become `texts`.
/// Block i of 256 units holds the node of i letters.
std::string charsmap(std::uint32_t keys, const std::string& texts = std::string("b\0", 2),
                     const std::function<void(std::vector<std::uint32_t>&)>& change = {}) {
  std::vector<std::uint32_t> units(256 * (keys + 2), 0x800000FFu);  // labels that match nothing
  units[0] = 256u << 10;
  for (std::uint32_t i = 1; i <= keys; ++i) {
    const auto node = 256 * i + 'a', base = 256 * (i + 1);
    units[node] = (node ^ base) << 10 | 1u << 8 | 'a';
    units[base] = 0x80000000u;  // the text at 0
  }
  if (change) change(units);
  const auto size = static_cast<std::uint32_t>(4 * units.size());
  std::string bytes(4 + size, '\0');
  std::memcpy(bytes.data(), &size, 4);
  std::memcpy(bytes.data() + 4, units.data(), size);
  return bytes + texts;
}

std::string charsmap_complaint(const std::string& bytes) {
  return message_of([&] { validate_charsmap(bytes, "m"); });
}

TEST(Charsmap, IsObeyedWhenSound) {
  ASSERT_EQ(charsmap_complaint(charsmap(3)), "no error");
  testing::TokenizerFolder folder;
  auto model = small_model();
  model.charsmap = charsmap(3);
  testing::write_bytes(folder.path() + "/tokenizer.model", serialize(model));
  const auto tokenizer = folder.load();
  EXPECT_EQ(tokenizer.encode_tagged("xaaaa"), testing::ids_of(tokenizer, {"_", "x", "b", "b"}));
}

TEST(Charsmap, RefusesTablesThatLeadOutOfThemselves) {
  const auto broken = [](const std::function<void(std::vector<std::uint32_t>&)>& change) {
    return charsmap_complaint(charsmap(1, std::string("b\0", 2), change));
  };
  expect_mentions(charsmap_complaint("abc"), "too short");
  expect_mentions(charsmap_complaint(charsmap(1).substr(0, 900)), "a table of 3072 bytes in 896");
  expect_mentions(charsmap_complaint(charsmap(1, "")), "a table of 3072 bytes in 3072");
  expect_mentions(charsmap_complaint(charsmap(1, "b")), "not UTF-8");
  expect_mentions(charsmap_complaint(charsmap(1, std::string("\xE3\0", 2))), "not UTF-8");
  expect_mentions(broken([](auto& u) { u[0] = 768u << 10; }), "points out of itself");
  expect_mentions(broken([](auto& u) { u[256 + 'a'] = ('a' ^ 0u) << 10 | 'a'; }), "in a circle");
  expect_mentions(broken([](auto& u) { u[512] = 0x80000002u; }), "a rule without text");
  expect_mentions(charsmap_complaint(charsmap(1, std::string("\x62\0", 2),
                                              [](auto& u) { u[512] = 0x80000000u | 0x7FFFFFFFu; })),
                  "a rule without text");
}

// sentencepiece 0.1.97 keeps 32 matches on its stack and reads on.
TEST(Charsmap, RefusesManyRulesThatBeginAlike) {
  EXPECT_EQ(charsmap_complaint(charsmap(32)), "no error");
  expect_mentions(charsmap_complaint(charsmap(33)), "too many rules begin alike");
}

// Random damage to a real model either is refused or leaves a model that can be used.
TEST(SentencePieceModel, SurvivesRandomDamage) {
  testing::TokenizerFolder folder(testing::sentences());
  const auto path = folder.path() + "/tokenizer.model";
  const auto whole = testing::read_bytes(path);
  std::mt19937 random(7);
  int loaded = 0;
  for (int round = 0; round < 400; ++round) {
    auto bytes = whole;
    for (int i = static_cast<int>(random() % 4); i >= 0; --i) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    if (random() % 4 == 0) bytes.resize(random() % bytes.size());
    testing::write_bytes(path, bytes);
    try {
      const auto tokenizer = folder.load();
      tokenizer.encode({{testing::random_text(random), false}});
      ++loaded;
    } catch (const Error&) {
    }
  }
  EXPECT_GT(loaded, 20);
  EXPECT_LT(loaded, 400);
}

}  // namespace
}  // namespace groma
