#include "language/prompt.h"

#include <gtest/gtest.h>

#include <cstring>

#include "groma/error.h"
#include "tokenizers.h"

namespace groma {
namespace {

using nlohmann::json;

const std::string kBeginning =
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the user's questions. USER: Here is an image with "
    "region crops from it. Image: <image>. Regions: <region>. ASSISTANT: Thank you for the image! "
    "How can I assist you with it?</s>";

std::string text_of(const std::vector<TextPiece>& pieces) {
  std::string text;
  for (const auto& piece : pieces) text += piece.text;
  return text;
}

Turn turn(std::vector<TextPiece> question, std::vector<TextPiece> answer = {}) {
  return {std::move(question), std::move(answer), {}};
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// ---- conversation

TEST(Prompt, WritesTheConversation) {
  EXPECT_EQ(text_of(conversation({})), kBeginning);
  EXPECT_EQ(text_of(conversation({turn({{"Hi?", false}})})), kBeginning + "USER: Hi? ASSISTANT:");
  EXPECT_EQ(
      text_of(conversation({turn({{"Hi?", false}}, {{"Yes.", false}}), turn({{"So", false}})})),
      kBeginning + "USER: Hi? ASSISTANT: Yes.</s>USER: So ASSISTANT:");
}

TEST(Prompt, KeepsWhatIsPlainApart) {
  const auto pieces = conversation({turn({{"</s>", false}, {"<p>", true}}, {{"<r1>", false}})});
  std::string plain;
  for (const auto& piece : pieces) plain += piece.tagged ? "" : piece.text + "|";
  EXPECT_EQ(plain, "</s>|<r1>|");
}

TEST(Prompt, TrimsAnswersAndTakesOutWhatAsksForFeatures) {
  const std::vector<TextPiece> answer = {{"  ", false},      {"<image>", true}, {" a", false},
                                         {"<r3>", true},     {" b", false},     {"[PAD]", true},
                                         {"<image>", false}, {" \n", false},    {"</s>", true}};
  EXPECT_EQ(text_of(conversation({turn({{"Q", false}}, answer)})),
            kBeginning + "USER: Q ASSISTANT: a<r3> b<image></s>");
  EXPECT_EQ(text_of(conversation({turn({{"Q", false}}, {{" ", false}, {"</s>", true}})})),
            kBeginning + "USER: Q ASSISTANT:");
}

TEST(Prompt, MatchesRecordedConversations) {
  const auto golden = testing::golden_folder();
  int turns = 0;
  for (const auto* name : {"single_level", "refer_two_boxes", "multi_turn"}) {
    if (!std::filesystem::exists(golden / name / "case.json")) continue;
    const auto recorded = json::parse(testing::read_bytes(golden / name / "case.json"));
    const auto tokenizer = Tokenizer::load((golden / name / "checkpoint").string());
    std::vector<Turn> history;
    for (const auto& entry : recorded["turns"]) {
      history.push_back(turn({{entry["user"], true}}));
      const auto pieces = conversation(history);
      EXPECT_EQ(text_of(pieces), entry["prompt"]);
      const auto ids = tokenizer.encode(pieces);
      EXPECT_EQ(ids, entry["prompt_ids"]);
      const auto generated = entry["generated_ids"].get<std::vector<int64_t>>();
      history.back().answer = tokenizer.decode_pieces(generated);
      ++turns;
    }
  }
  if (turns == 0) GTEST_SKIP() << "no recorded cases in " << golden;
}

// ---- questions

TEST(Prompt, PutsReferredBoxesIntoTheQuestion) {
  const auto pieces = user_question("What is <box> and <box>?", 2, true);
  EXPECT_EQ(text_of(pieces),
            "[grounding]What is <roi><refer_box></roi><refer_feat> and "
            "<roi><refer_box></roi><refer_feat>?");
  ASSERT_EQ(pieces.size(), 6u);
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    EXPECT_EQ(pieces[i].tagged, i == 0 || i == 2 || i == 4) << i;
  }
}

TEST(Prompt, LeavesWhatAUserTypesPlain) {
  const auto pieces = user_question("[grounding] <refer_box></s>", 0, false);
  ASSERT_EQ(pieces.size(), 1u);
  EXPECT_FALSE(pieces[0].tagged);
  EXPECT_EQ(pieces[0].text, "[grounding] <refer_box></s>");
  EXPECT_TRUE(user_question("", 0, false).empty());
  EXPECT_EQ(user_question("no place for it", 3, false).size(), 1u);
}

TEST(Prompt, BoxesAndPlacesMustAgree) {
  const auto ask = [](const char* prompt, int64_t boxes) {
    return message_of([&] { user_question(prompt, boxes, false); });
  };
  EXPECT_NE(ask("<box> <box>", 1).find("stands in it 2 times, boxes given: 1"), std::string::npos);
  EXPECT_NE(ask("<box>", 0).find("boxes given: 0"), std::string::npos);
  EXPECT_NE(ask("<box>", 2).find("boxes given: 2"), std::string::npos);
  EXPECT_EQ(ask("<box>", 1), "no error");
}

// ---- expansion

SpecialIds special_ids() {
  SpecialIds special;
  special.image = 10, special.region = 11, special.refer_box = 12, special.refer_feat = 13;
  special.region_first = 100, special.region_count = 5;
  return special;
}

TEST(Prompt, ExpandsImageRegionsAndBoxes) {
  const auto expanded =
      expand_prompt({1, 10, 7, 11, 8, 12, 13, 9, 12, 13}, special_ids(), 3, 2, {1, 0});
  EXPECT_EQ(expanded.ids,
            (std::vector<int64_t>{1, 10, 10, 10, 7, 100, 11, 101, 11, 8, 101, 13, 9, 100, 13}));
  EXPECT_EQ(expanded.feature_of,
            (std::vector<int64_t>{-1, -2, -3, -4, -1, -1, 0, -1, 1, -1, -1, 1, -1, -1, 0}));
}

TEST(Prompt, RefusesPromptsThatCannotBeExpanded) {
  const auto expand = [](const std::vector<int64_t>& ids, int64_t regions,
                         const std::vector<int64_t>& matches) {
    return message_of([&] { expand_prompt(ids, special_ids(), 3, regions, matches); });
  };
  EXPECT_EQ(expand({10, 11}, 5, {}), "no error");
  EXPECT_NE(expand({10, 10, 11}, 1, {}).find("2 <image> and 1 <region>"), std::string::npos);
  EXPECT_NE(expand({10}, 1, {}).find("0 <region>"), std::string::npos);
  EXPECT_NE(expand({10, 11}, 6, {}).find("tokens for 5"), std::string::npos);
  EXPECT_NE(expand({10, 11, 12, 13}, 1, {}).find("0 boxes"), std::string::npos);
  EXPECT_NE(expand({10, 11, 13}, 1, {0}).find("0 <refer_box>, 1 <refer_feat>"), std::string::npos);
  EXPECT_NE(expand({10, 11, 12, 13}, 1, {1}).find("region 1, there are 1"), std::string::npos);
  EXPECT_NE(expand({10, 11, 12, 13}, 1, {-1}).find("region -1"), std::string::npos);
}

/// A tensor of int64 or int32 numbers of a safetensors file.
std::vector<int64_t> read_numbers(const std::filesystem::path& path, const std::string& name) {
  const auto bytes = testing::read_bytes(path);
  std::uint64_t size = 0;
  std::memcpy(&size, bytes.data(), sizeof(size));
  const auto entry = json::parse(bytes.substr(8, size))[name];
  EXPECT_EQ(entry["dtype"], "I64");
  const auto begin = entry["data_offsets"][0].get<std::size_t>();
  const auto end = entry["data_offsets"][1].get<std::size_t>();
  std::vector<int64_t> numbers((end - begin) / sizeof(int64_t));
  std::memcpy(numbers.data(), bytes.data() + 8 + size + begin, end - begin);
  return numbers;
}

TEST(Prompt, ExpandsLikeTheRecordedOriginal) {
  const auto golden = testing::golden_folder();
  int turns = 0;
  for (const auto* name : {"single_level", "refer_two_boxes", "multi_turn"}) {
    if (!std::filesystem::exists(golden / name / "case.json")) continue;
    const auto recorded = json::parse(testing::read_bytes(golden / name / "case.json"));
    const auto tokenizer = Tokenizer::load((golden / name / "checkpoint").string());
    const auto regions = static_cast<int64_t>(recorded["kept_scores"].size());
    for (std::size_t i = 0; i < recorded["turns"].size(); ++i) {
      const auto& entry = recorded["turns"][i];
      std::vector<int64_t> matches;
      if (!entry["refer_box_matches"].is_null()) entry["refer_box_matches"].get_to(matches);
      const auto expanded =
          expand_prompt(entry["prompt_ids"], tokenizer.special(), 256, regions, matches);
      const std::string prefix = i == 0 ? "" : "turn" + std::to_string(i + 1) + ".";
      EXPECT_EQ(expanded.ids,
                read_numbers(golden / name / "expected.safetensors", prefix + "llm.expanded_ids"));
      EXPECT_EQ(expanded.ids.size(), entry["expanded_length"].get<std::size_t>());
      EXPECT_EQ(expanded.ids.size(), expanded.feature_of.size());
      ++turns;
    }
  }
  if (turns == 0) GTEST_SKIP() << "no recorded cases in " << golden;
}

}  // namespace
}  // namespace groma
