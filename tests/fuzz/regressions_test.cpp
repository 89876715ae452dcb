#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "eval/annotations.h"
#include "eval/json_reader.h"
#include "eval/refer_pickle.h"
#include "eval/run_record.h"
#include "folders.h"
#include "groma/evaluate.h"
#include "io/bytes.h"
#include "io/message.h"
#include "language/prompt.h"

// What hostile input once did, or was found to be able to do.

namespace groma {
namespace {

using testing::holds;
using testing::little;
using testing::message_of;

/// A reference of refs(...).p whose split is `split`; memo places from 0 hold it and its sentence.
std::string reference(const std::string& split) {
  const auto text = [](const std::string& value) { return "X" + little(value.size(), 4) + value; };
  return "}(" + text("split") + text(split) + text("ann_id") + "K\x07" + text("ref_id") + "K\x01" +
         text("image_id") + "K\x01" + text("file_name") + text("a.jpg") + text("sentences") +
         "](}(" + text("sent_id") + "K\x01" + text("sent") + text("it") + "uq" + little(1, 1) +
         "eu" + "q" + little(0, 1);
}

class Bomb : public ::testing::Test {
 protected:
  void SetUp() override {
    file_.path = "refs(unc).p";
    file_.instances = (folder_.path() / "instances.json").string();
    std::ofstream(file_.instances)
        << R"({"images": [{"id": 1, "file_name": "a.jpg", "width": 9, "height": 9}], )"
        << R"("annotations": [{"id": 7, "image_id": 1, "category_id": 1, "bbox": [1, 1, 2, 2], )"
        << R"("area": 4}], "categories": [{"id": 1, "name": "it"}]})";
  }
  std::string refusal(const std::string& pickle) {
    return message_of([&] { eval::read_refer(pickle, file_); });
  }
  testing::TemporaryFolder folder_;
  eval::AnnotationFile file_;
};

/// 200 KB that name one sentence 10^5 times ask for 10^5 entries of it, 2 MB for all memory.
TEST_F(Bomb, ReferencesThatAreAllTheSameAreRefused) {
  std::string pickle = "\x80\x02](" + reference("train");
  for (int i = 0; i < 100'000; ++i) pickle += std::string("h\0", 2);
  EXPECT_TRUE(holds(refusal(pickle + "e."), "64 times the memory of the file"));
}

TEST_F(Bomb, OneLongTextThatAllReferencesShareIsRefused) {
  file_.split = "val";
  std::string pickle = "\x80\x02](" + reference(std::string(100'000, 'x'));
  for (int i = 0; i < 100'000; ++i) pickle += std::string("h\0", 2);
  EXPECT_TRUE(holds(refusal(pickle + "e."), "64 times the memory of the file"));
}

TEST_F(Bomb, ADictOfMoreFieldsThanAnyReferenceIsRefused) {
  std::string pickle = "\x80\x02](}(";
  for (int i = 0; i < 1001; ++i) pickle += "K\x01K\x01";
  EXPECT_TRUE(holds(refusal(pickle + "ue."), "a dict of more than 1000 entries"));
}

TEST(Regressions, MessagesHoldNothingThatATerminalObeys) {
  const auto message = message_of([] {
    eval::JsonReader json("{\"\x1b[2J\": {\"a\": \x07}}", "f");
    json.object([&](std::string_view) { json.number(); });
  });
  EXPECT_TRUE(holds(message, "\\x1b[2J: found an object"));
  EXPECT_EQ(message.find('\x1b'), message.npos);
}

TEST(Regressions, ARunRecordWithFieldsOfOtherTypesIsRefused) {
  const testing::TemporaryFolder folder;
  const auto path = (folder.path() / "run.json").string();
  const auto refusal = [&](const std::string& annotations, const std::string& identity,
                           const std::string& shard = "[0, 1]") {
    std::ofstream(path) << R"({"annotations": {"path": "a")" << annotations
                        << R"(}, "identity": {"protocol": "rec")" << identity << R"(}, "shard": )"
                        << shard << R"(, "images": [], "model": "m", "start": ""})";
    return message_of([&] { eval::read_run_record(path); });
  };
  EXPECT_TRUE(holds(refusal(R"(, "format": 1)", ""), "format: found number"));
  EXPECT_TRUE(holds(refusal(R"(, "allow_google": "x")", ""), "allow_google: found string"));
  EXPECT_TRUE(holds(refusal("", R"(, "seed": "x")"), "seed: found string"));
  EXPECT_TRUE(holds(refusal("", R"(, "prompt_index": 3)"), "prompt_index: found number"));
  EXPECT_TRUE(holds(refusal("", R"(, "prompt_index": "all")"), "no list 'prompts'"));
  EXPECT_TRUE(holds(refusal("", "", "[0, 1e30]"), "shard: found array"));
  EXPECT_TRUE(holds(refusal("", "", "[0, 1.5]"), "shard: found array"));
}

TEST(Regressions, CaptionsThatTakeHoursToCompareAreRefused) {
  std::string words;
  for (int i = 0; i < 10'001; ++i) words += "a ";
  EXPECT_TRUE(holds(message_of([&] {
                      eval::caption_scores({{"a cat", {words}}});
                    }),
                    "one has 10002 words, at most 10000 are compared"));
}

TEST(Regressions, APromptThatFitsNoContextIsRefusedUnread) {
  const std::string long_prompt(kMostPromptBytes + 1, 'a');
  EXPECT_TRUE(holds(message_of([&] { user_question(long_prompt, 0, false); }),
                    "1000001 bytes, at most 1000000 are read; shorten it"));
}

}  // namespace
}  // namespace groma
