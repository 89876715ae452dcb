// LLaVA's and Groma-Instruct's conversations as lines of our own JSONL would say them.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "eval/annotations.h"
#include "io/message.h"

namespace groma::eval {
namespace {

using nlohmann::json;
using testing::holds;
using testing::message_of;

constexpr const char* kLlava = R"([
 {"id": "7", "conversations": [{"from": "gpt", "value": "A pear."}]},
 {"id": "000000033471", "image": "a.jpg", "conversations": [
  {"from": "human", "value": "<image>\nWhat is red?"}, {"from": "gpt", "value": "The bus.\n\nIt is red."},
  {"from": "human", "value": "And what else?"}, {"from": "gpt", "value": "Nothing."}]},
 {"id": "000000033471", "image": "a.jpg", "conversations": [
  {"from": "human", "value": "What is it?\n<image>"}, {"from": "gpt", "value": "A street."}]}])";

constexpr const char* kInstruct = R"([{"file_name": "b.jpg", "width": 40, "height": 20,
 "boxes": [[1, 2, 3, 4], [10.5, 2, 8, 9], [0, 0, 40, 20]], "conversation": [
 {"from": "human", "value": "[grounding] Who is there?", "box_inds": null},
 {"from": "gpt", "value": "<p> Two men </p> <roi> <ground_box> <ground_box> </roi> and a <p> bus </p>.",
  "box_inds": [1, 0]}]}])";

Dataset read(std::string_view text) {
  AnnotationFile file;
  file.path = "talk.json";
  return read_annotations(text, file);
}

json turns_of(const Entry& entry) { return json::parse(extra_field(entry.extra, "turns")); }

/// The message where a piece of text is another.
std::string refusal(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  text.replace(at, from.size(), to);
  return message_of([&] { read(text); });
}

TEST(Conversations, OfLlavaLoseTheMarkOfThePictureAndTheirLines) {
  const Dataset data = read(kLlava);
  EXPECT_EQ(data.format, Format::kConversations);
  ASSERT_EQ(data.entries.size(), 2u);
  EXPECT_EQ(data.entries[0].label(), "1");  // ids come several times in the published files
  EXPECT_EQ(data.entries[0].image, "a.jpg");
  EXPECT_EQ(data.entries[0].task, Task::kChat);
  EXPECT_EQ(turns_of(data.entries[0]), json::parse(R"([
    {"question": "What is red?", "question_boxes": [], "answer": "The bus.  It is red.", "answer_boxes": []},
    {"question": "And what else?", "question_boxes": [], "answer": "Nothing.", "answer_boxes": []}])"));
  EXPECT_EQ(turns_of(data.entries[1])[0]["question"], "What is it?");
}

TEST(Conversations, WithoutAPictureAreLeftOutAndCounted) {
  const Dataset data = read(kLlava);
  ASSERT_EQ(data.warnings.size(), 1u);
  EXPECT_TRUE(holds(data.warnings[0], "'talk.json': 1 records without a picture left out"));
  EXPECT_TRUE(
      holds(message_of([] {
              read(R"([{"image": null, "conversations": [{"value": "Hi?"}, {"value": "Hi."}]}])");
            }),
            "none of the 1 records has an 'image'"));
}

TEST(Conversations, OfGromaInstructNameTheirBoxes) {
  const Dataset data = read(kInstruct);
  EXPECT_EQ(data.format, Format::kConversations);
  ASSERT_EQ(data.annotations.size(), 3u);
  EXPECT_EQ(data.annotations[1].bbox, (XywhBox{10.5, 2, 8, 9}));
  EXPECT_EQ(data.entries[0].width, 40);
  EXPECT_TRUE(data.warnings.empty());
  EXPECT_EQ(turns_of(data.entries[0]), json::parse(R"([
    {"question": "Who is there?", "question_boxes": [],
     "answer": "<p>Two men</p> <roi><box><box></roi> and a <p>bus</p>.",
     "answer_boxes": [[10.5, 2, 18.5, 11], [1, 2, 4, 6]], "grounded": true}])"));
}

TEST(Conversations, MistakesNameRecordAndTurn) {
  const auto swapped = refusal(kLlava, R"("gpt", "value": "The)", R"("human", "value": "The)");
  EXPECT_TRUE(holds(swapped, "[1]: turn 1: from: found 'human', expected gpt")) << swapped;
  EXPECT_TRUE(holds(refusal(kLlava, R"("value": "Nothing.")", R"("text": "")"),
                    "[1].conversations[3]: no 'value'"));
  EXPECT_TRUE(holds(refusal(kLlava, R"(, {"from": "gpt", "value": "Nothing."})", ""),
                    "[1]: found 3 turns in 'conversations'"));
  EXPECT_TRUE(holds(refusal(kInstruct, "[1, 0]", "[1, 3]"),
                    "[0]: turn 1: box_inds: found 3, the record has 3 boxes"));
  EXPECT_TRUE(holds(refusal(kInstruct, "[1, 0]", "[1, -1]"), "box_inds: found -1"));
  EXPECT_TRUE(
      holds(refusal(kInstruct, "[1, 2, 3, 4]", "[1, 2, 3]"), "[0].boxes[0]: found 3 numbers"));
  EXPECT_TRUE(holds(refusal(kInstruct, "\"width\": 40", "\"width\": 4e1"), "[0].width"));
}

}  // namespace
}  // namespace groma::eval
