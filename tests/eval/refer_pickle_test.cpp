// The restricted reader of refs(...).p.

#include "eval/refer_pickle.h"

#include <gtest/gtest.h>

#include <random>

#include "io/message.h"

namespace groma::eval {
namespace {

using testing::holds;
using testing::message_of;
using namespace std::string_literals;

// [{'sent': 'a\xe9', 'ids': [1, 300, 70000, -1, 2**40], 'f': 0.5, 'n': None, 't': True}] as CPython
// writes it in protocols 0 and 2 (from Python 2: plain str) and 4.
const std::string kProtocol0 =
    "(lp0\n(dp1\nS'sent'\np2\nS'a\\xe9'\np3\nsS'ids'\np4\n(lp5\nI1\naI300\naI70000\naI-1\n"
    "aL1099511627776L\nasS'f'\np6\nF0.5\nsS'n'\nNsS't'\nI01\nsa."s;
const std::string kProtocol2 =
    "\x80\x02]q\x00}q\x01(U\x04sentq\x02U\x02"
    "a\xe9q\x03U\x03idsq\x04]q\x05(K\x01M,\x01"
    "Jp\x11\x01\x00J\xff\xff\xff\xff\x8a\x06\x00\x00\x00\x00\x00\x01"
    "eU\x01"
    "f"
    "G?\xe0\x00\x00\x00\x00\x00\x00U\x01nNU\x01t\x88ua."s;
const std::string kProtocol4 =
    "\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00]\x94}\x94(\x8c\x04sent\x94\x8c\x03"
    "a\xc3\xa9\x94"
    "\x8c\x03ids\x94]\x94(K\x01M,\x01Jp\x11\x01\x00J\xff\xff\xff\xff"
    "\x8a\x06\x00\x00\x00\x00\x00\x01"
    "e\x8c\x01"
    "fG?\xe0\x00\x00\x00\x00\x00\x00\x8c\x01nN"
    "\x8c\x01t\x88ua."s;

TEST(ReferPickle, ReadsPlainDataOfEveryProtocol) {
  for (const std::string& bytes : {kProtocol0, kProtocol2, kProtocol4}) {
    const Pickle pickle = read_pickle(bytes, "refs.p");
    const PickleCursor first = PickleCursor(*pickle.root, "refs.p", "refs").at(0);
    EXPECT_EQ(first.field("sent").text(), "a\xC3\xA9");
    const auto ids = first.field("ids");
    ASSERT_EQ(ids.size(), 5u);
    EXPECT_EQ(ids.at(1).integer(), 300);
    EXPECT_EQ(ids.at(2).integer(), 70000);
    EXPECT_EQ(ids.at(3).integer(), -1);
    EXPECT_EQ(ids.at(4).integer(), std::int64_t{1} << 40);
    EXPECT_TRUE(first.has("n"));
    EXPECT_FALSE(first.has("m"));
    EXPECT_TRUE(holds(message_of([&] { first.field("f").integer(); }),
                      "read 'refs.p': refs[0].f: found a number, expected a whole number"));
    EXPECT_TRUE(holds(message_of([&] { first.field("ids").text(); }), "found a list"));
    EXPECT_TRUE(holds(message_of([&] { first.field("m"); }), "refs[0]: no 'm'"));
  }
}

TEST(ReferPickle, WhatItWritesItReads) {
  PickleWriter out;
  out.begin_list();
  out.integer(-5);
  out.begin_dict();
  out.text("k");
  out.text("caf\xC3\xA9");
  out.end_dict();
  out.end_list();
  const std::string bytes = out.finish();
  const Pickle pickle = read_pickle(bytes, "p");
  const PickleCursor root(*pickle.root, "p", "refs");
  EXPECT_EQ(root.at(0).integer(), -5);
  EXPECT_EQ(root.at(1).field("k").text(), "caf\xC3\xA9");
}

TEST(ReferPickle, RefusesByNameWhatNamesBuildsOrCalls) {
  const std::pair<std::string, const char*> hostile[] = {
      {"cos\nsystem\n(S'true'\ntR.", "GLOBAL"},
      {"\x80\x04\x8c\x02os\x8c\x06system\x93.", "STACK_GLOBAL"},
      {"(S'true'\nios\nsystem\n.", "INST"},
      {"((S'a'\no.", "OBJ"},
      {"NN\x81.", "NEWOBJ"},
      {"NNN\x92.", "NEWOBJ_EX"},
      {"N(R.", "REDUCE"},
      {"NNb.", "BUILD"},
      {"\x82\x01.", "EXT1"},
      {"\x83\x01\x01.", "EXT2"},
      {"\x84\x01\x01\x01\x01.", "EXT4"},
      {"Pname\n.", "PERSID"},
      {"NQ.", "BINPERSID"},
      {"(t.", "TUPLE"},
  };
  for (const auto& [bytes, name] : hostile) {
    const std::string message = message_of([&, b = bytes] { read_pickle(b, "refs.p"); });
    EXPECT_TRUE(holds(message, std::string("opcode ") + name + " (byte ")) << name;
  }
}

TEST(ReferPickle, EveryCutIsNoticed) {
  for (const std::string& bytes : {kProtocol0, kProtocol2, kProtocol4}) {
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_NE(message_of([&] { read_pickle(bytes.substr(0, size), "p"); }), "") << size;
    }
  }
}

TEST(ReferPickle, AHugeSizeTakesNoMemory) {
  EXPECT_NE(message_of([] {
              read_pickle(
                  "\x80\x02X\xff\xff\xff\xff"
                  "abc.",
                  "p");
            }),
            "");
  EXPECT_NE(message_of([] { read_pickle("\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.", "p"); }), "");
}

TEST(ReferPickle, AListThatHoldsItselfIsFreed) {
  read_pickle(
      "]q\x00h\x00"
      "a."s,
      "p");  // leak checkers see it
}

TEST(ReferPickle, DamagedBytesGiveAnErrorOrData) {
  std::mt19937 random(1);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = i % 3 == 0 ? kProtocol0 : i % 3 == 1 ? kProtocol2 : kProtocol4;
    for (unsigned k = 0; k <= random() % 4; ++k) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    try {
      read_pickle(bytes, "p");
    } catch (const Error&) {
    }
  }
}

}  // namespace
}  // namespace groma::eval
