#include "answer/grounding.h"

#include <gtest/gtest.h>

#include "groma/error.h"
#include "language/stream_decoder.h"
#include "language/tokenizers.h"
#include "language/unicode.h"

namespace groma {
namespace {

class Grounding : public ::testing::Test {
 protected:
  Grounding() : tokenizer_(folder_.load()) {
    for (int i = 0; i < 5; ++i) {
      const auto side = static_cast<float>(i);
      regions_.push_back({{side, side, side + 1, side + 2}, 0.5f + 0.1f * side, false});
    }
  }

  /// Reads an answer; letters of `texts` become one token each, tags one.
  GroundedText read(const std::string& answer) const {
    auto ids = tokenizer_.encode_tagged(answer + "</s>");
    std::vector<float> logprobs(ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i) logprobs[i] = -0.5f * static_cast<float>(i);
    return parse_answer(tokenizer_, ids, logprobs, regions_);
  }

  /// "text[1,2]" of every phrase.
  std::string phrases(const std::string& answer) const {
    std::string list;
    const auto grounded = read(answer);
    for (const auto& phrase : grounded.phrases) {
      EXPECT_EQ(grounded.text.substr(phrase.begin, phrase.end - phrase.begin), phrase.text);
      list += phrase.text + "[";
      for (const auto& named : phrase.regions) list += std::to_string(named.region) + ",";
      if (list.back() == ',') list.pop_back();
      list += "]";
    }
    return list;
  }

  testing::TokenizerFolder folder_;
  Tokenizer tokenizer_;
  std::vector<Region> regions_;
};

TEST_F(Grounding, ReadsPhrasesAndTheirRegions) {
  const auto answer = read("<p>a dog</p><roi><r1><r3></roi>, and <p>a cat</p><roi><r0></roi>.");
  EXPECT_EQ(answer.text, "a dog, and a cat.");
  ASSERT_EQ(answer.phrases.size(), 2u);
  EXPECT_EQ(answer.phrases[0].text, "a dog");
  EXPECT_EQ(answer.phrases[0].begin, 0u);
  EXPECT_EQ(answer.phrases[0].end, 5u);
  ASSERT_EQ(answer.phrases[0].regions.size(), 2u);
  EXPECT_EQ(answer.phrases[0].regions[1].region, 3);
  EXPECT_EQ(answer.phrases[0].regions[1].box, regions_[3].box);
  EXPECT_EQ(answer.phrases[0].regions[1].score, regions_[3].score);
  EXPECT_EQ(answer.phrases[1].begin, 11u);
  EXPECT_EQ(answer.phrases[1].end, 16u);
}

TEST_F(Grounding, GivesEachRegionItsProbability) {
  const std::vector<int64_t> ids = {tokenizer_.special().roi_begin,
                                    tokenizer_.special().region_first + 2,
                                    tokenizer_.special().region_first + 4};
  const auto answer = parse_answer(tokenizer_, ids, {-1, -2, -3}, regions_);
  ASSERT_EQ(answer.phrases.size(), 1u);
  EXPECT_EQ(answer.phrases[0].regions[0].logprob, -2);
  EXPECT_EQ(answer.phrases[0].regions[1].logprob, -3);
  EXPECT_THROW(parse_answer(tokenizer_, ids, {-1}, regions_), Error);
}

TEST_F(Grounding, RegionsWithoutPhraseStandWhereTheyAre) {
  EXPECT_EQ(phrases("<roi><r2></roi>"), "[2]");
  const auto answer = read("It is <roi><r2></roi> here");
  EXPECT_EQ(answer.text, "It is here");
  ASSERT_EQ(answer.phrases.size(), 1u);
  EXPECT_EQ(answer.phrases[0].begin, 5u);
  EXPECT_EQ(answer.phrases[0].end, 5u);
  EXPECT_EQ(phrases("a <r1> <r2> b <r3>"), "[1,2][3]");
  EXPECT_EQ(phrases("<roi><r1></roi><roi><r2></roi>"), "[1][2]");
}

TEST_F(Grounding, PhrasesNeedNoRegions) {
  EXPECT_EQ(phrases("<p>a dog</p> runs"), "a dog[]");
  EXPECT_EQ(phrases("<p>a dog</p><roi></roi>"), "a dog[]");
  EXPECT_EQ(phrases("<p></p>x<roi></roi>"), "");
}

TEST_F(Grounding, WordsBetweenPartPhraseAndRegions) {
  EXPECT_EQ(phrases("<p>a</p> b <roi><r1></roi>"), "a[][1]");
  EXPECT_EQ(phrases("<p>a</p><roi><r1> b <r2></roi>"), "a[1,2]");
}

TEST_F(Grounding, DropsRegionsThatDoNotExist) {
  EXPECT_EQ(phrases("<p>a</p><roi><r4><r5><r11></roi>"), "a[4]");
  EXPECT_EQ(phrases("<roi><r7></roi>"), "");
}

TEST_F(Grounding, SurvivesTagsOutOfOrder) {
  EXPECT_EQ(phrases("<p>a <roi><r1></roi> b"), "a[1]");
  EXPECT_EQ(phrases("<p>a <p>b</p><roi><r1>"), "a[]b[1]");
  EXPECT_EQ(phrases("</roi></p><r1></roi>"), "[1]");
  EXPECT_EQ(phrases("<roi><r1><p>a</p><r2>"), "[1]a[2]");
  EXPECT_EQ(phrases("<p>a <r1> b</p>"), "a b[1]");
  EXPECT_EQ(phrases("<p>a"), "a[]");
  EXPECT_EQ(phrases("<roi><r1><roi><r2></roi></roi>"), "[1][2]");
  EXPECT_EQ(phrases("<p><image></p><region><sep>"), "");
}

TEST_F(Grounding, SpansAreBytes) {
  const auto answer = read("日本 <p>  ein  Hörnchen </p> <roi><r0></roi> 😀");
  EXPECT_EQ(answer.text, "日本 ein Hörnchen 😀");
  ASSERT_EQ(answer.phrases.size(), 1u);
  EXPECT_EQ(answer.phrases[0].text, "ein Hörnchen");
  EXPECT_EQ(answer.phrases[0].begin, 7u);
  EXPECT_EQ(answer.phrases[0].end, 20u);
}

// The captioning evaluation of the original removes tags and collapses white space too.
TEST_F(Grounding, TextMatchesRecordedCaptions) {
  const auto golden = testing::golden_folder();
  int turns = 0;
  for (const auto* name : {"single_level", "refer_two_boxes", "multi_turn"}) {
    if (!std::filesystem::exists(golden / name / "case.json")) continue;
    const auto recorded = nlohmann::json::parse(testing::read_bytes(golden / name / "case.json"));
    const auto tokenizer = Tokenizer::load((golden / name / "checkpoint").string());
    const std::vector<Region> regions(recorded["kept_scores"].size());
    for (const auto& turn : recorded["turns"]) {
      const auto ids = turn["generated_ids"].get<std::vector<int64_t>>();
      const auto answer = parse_answer(tokenizer, ids, std::vector<float>(ids.size()), regions);
      EXPECT_EQ(answer.text, turn["caption_cleaned"]);
      std::vector<int> named;
      for (const auto& phrase : answer.phrases) {
        for (const auto& region : phrase.regions) named.push_back(region.region);
      }
      EXPECT_EQ(named, turn["named_regions_valid"].get<std::vector<int>>());
      ++turns;
    }
  }
  if (turns == 0) GTEST_SKIP() << "no recorded cases in " << golden;
}

bool on_boundary(const std::string& text, std::size_t at) {
  return at == text.size() || (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80;
}

TEST_F(Grounding, AnyIdsGiveASoundAnswer) {
  testing::TokenizerFolder trained(testing::sentences());
  for (const bool legacy : {false, true}) {
    const auto tokenizer = trained.legacy(legacy).load();
    std::mt19937 random(23);
    for (int round = 0; round < 5000; ++round) {
      const auto ids = testing::random_ids(tokenizer, random);
      const auto answer =
          parse_answer(tokenizer, ids, std::vector<float>(ids.size(), -1), regions_);
      StreamDecoder decoder(tokenizer);
      std::string streamed;
      for (const auto id : ids) streamed += decoder.feed(id);
      ASSERT_EQ(streamed + decoder.finish(), answer.text);
      ASSERT_TRUE(valid_utf8(answer.text));
      ASSERT_EQ(strip(answer.text), answer.text);
      ASSERT_EQ(answer.text.find("  "), std::string::npos);
      std::size_t last = 0;
      for (const auto& phrase : answer.phrases) {
        ASSERT_LE(last, phrase.begin);
        ASSERT_LE(phrase.begin, phrase.end);
        ASSERT_LE(phrase.end, answer.text.size());
        ASSERT_TRUE(on_boundary(answer.text, phrase.begin));
        ASSERT_TRUE(on_boundary(answer.text, phrase.end));
        ASSERT_EQ(phrase.text, answer.text.substr(phrase.begin, phrase.end - phrase.begin));
        ASSERT_EQ(strip(phrase.text), phrase.text);
        ASSERT_FALSE(phrase.text.empty() && phrase.regions.empty());
        for (const auto& named : phrase.regions) {
          ASSERT_GE(named.region, 0);
          ASSERT_LT(named.region, static_cast<int>(regions_.size()));
        }
        last = phrase.begin;
      }
    }
  }
}

}  // namespace
}  // namespace groma
