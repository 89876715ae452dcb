#include "train/recipe.h"

#include <gtest/gtest.h>

#include "groma/error.h"
#include "train/tiny_run.h"

namespace groma::train {
namespace {

std::string message_of(const std::string& text) {
  testing::RunFolder folder("recipe");
  try {
    read_recipe(folder.write("recipe.json", text));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Recipe, ShippedRecipesAreRead) {
  const std::string stages = std::string(GROMA_SOURCE_DIR) + "/models/stages/";
  EXPECT_EQ(read_recipe(stages + "detection.json").stage, StageKind::kDetection);
  EXPECT_EQ(read_recipe(stages + "alignment.json").stage, StageKind::kAlignment);
  EXPECT_EQ(read_recipe(stages + "alignment-more.json").stage, StageKind::kAlignment);
  EXPECT_EQ(read_recipe(stages + "instruction-again.json").stage, StageKind::kInstruction);
  EXPECT_EQ(read_recipe(stages + "instruction-last.json").stage, StageKind::kInstruction);
  EXPECT_EQ(read_recipe(stages + "instruction-more.json").stage, StageKind::kInstruction);
  EXPECT_EQ(read_recipe(stages + "instruction.json").stage, StageKind::kInstruction);
}

TEST(Recipe, WrongKeysAreNamed) {
  EXPECT_NE(message_of(R"({"trainable": ["llm."], "lerning": 1})").find("unknown key 'lerning'"),
            std::string::npos);
  EXPECT_NE(message_of(R"({"trainable": ["llm."], "batch": "8"})")
                .find(".batch: '\"8\"' has the wrong type"),
            std::string::npos);
  EXPECT_NE(message_of(R"({"trainable": ["llm."], "batch": 0})").find(".batch is 0"),
            std::string::npos);
  EXPECT_NE(message_of(R"({"trainable": ["llm."], "schedule": {"steps": 9, "decay": -1}})")
                .find(".schedule.decay is -1; it must be 0 or more"),
            std::string::npos);
  EXPECT_NE(message_of(R"({"batch": 8})").find(".trainable names no parameters"),
            std::string::npos);
}

TEST(Recipe, LossesThatTheStageDoesNotKnowAreRefused) {
  EXPECT_NE(
      message_of(R"({"trainable": ["llm."], "losses": {"detektion": 1}})")
          .find(".losses: this stage has no loss 'detektion'; it knows detection, attributes"),
      std::string::npos);
  EXPECT_NE(
      message_of(R"({"stage": "alignment", "trainable": ["llm."], "losses": {"attributes": 1}})")
          .find("it knows answer, copy, words, places, attention, bag, detection"),
      std::string::npos);
  EXPECT_NE(message_of(R"({"trainable": ["llm."], "losses": {"detection": -1}})")
                .find(".losses.detection is -1"),
            std::string::npos);
}

TEST(Recipe, SharesBelowNothingAreRefused) {
  EXPECT_NE(message_of(R"({"trainable": ["llm."], "data": [{"world": "shapes", "share": -1}]})")
                .find("data[0].share is -1; give a number above 0"),
            std::string::npos);
}

TEST(Recipe, RateRisesHoldsAndFalls) {
  Schedule schedule;
  schedule.steps = 100;
  schedule.warmup = 10;
  schedule.decay = 50;
  schedule.final_share = 0;
  EXPECT_DOUBLE_EQ(schedule.at(0), 0.1);
  EXPECT_DOUBLE_EQ(schedule.at(10), 1);
  EXPECT_DOUBLE_EQ(schedule.at(49), 1);
  EXPECT_DOUBLE_EQ(schedule.at(75), 0.5);
  EXPECT_NEAR(schedule.at(100), 0, 1e-12);
  schedule.cosine = false;
  EXPECT_DOUBLE_EQ(schedule.at(75), 0.5);
}

TEST(Recipe, ChangesAreNamed) {
  const std::string before = R"({"batch": 8, "optimizer": {"rate": 0.1}, "trainable": ["llm."]})";
  EXPECT_EQ(recipe_changes(before, R"({"trainable":["llm."],"batch":8,"optimizer":{"rate":0.1}})"),
            "");
  EXPECT_EQ(recipe_changes(before, R"({"batch": 8, "optimizer": {"rate": 0.2, "clip": 2}})"),
            "/optimizer/clip none, now 2; /optimizer/rate 0.1, now 0.2; "
            "/trainable/0 \"llm.\", now none");
}

TEST(Recipe, LongestPrefixCounts) {
  const std::vector<PrefixValue> values{{"llm.", 0.5}, {"llm.model.", 0.1}};
  EXPECT_EQ(value_for(values, "llm.lm_head.weight", 1), 0.5);
  EXPECT_EQ(value_for(values, "llm.model.norm.weight", 1), 0.1);
  EXPECT_EQ(value_for(values, "perceiver.x", 1), 1);
}

}  // namespace
}  // namespace groma::train
