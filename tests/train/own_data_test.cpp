#include "train/own_data.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "groma/error.h"
#include "groma/image.h"
#include "io/safetensors.h"
#include "train/tagged_text.h"
#include "train/tiny_run.h"
#include "train/training_data.h"
#include "train/worlds/write_set.h"

namespace groma::train {
namespace {

using nlohmann::json;
using testing::add_picture;
using testing::options_for;
using testing::read;
using testing::refusal;
using testing::RunFolder;
using testing::source_of;

json coco_file(const json& boxes) {
  json file = {{"images", {{{"id", 7}, {"file_name", "a.png"}, {"width", 40}, {"height", 20}}}},
               {"categories", {{{"id", 3}, {"name", "traffic_light"}}}},
               {"annotations", json::array()}};
  int id = 0;
  for (const auto& box : boxes) {
    file["annotations"].push_back(
        {{"id", ++id}, {"image_id", 7}, {"category_id", 3}, {"bbox", box}, {"area", 4}});
  }
  return file;
}

TEST(OwnData, CocoCategoriesBecomeQuestionsWithAllTheirBoxes) {
  RunFolder folder("own-coco");
  add_picture(folder);
  const auto file = coco_file({{2, 2, 10, 10}, {20, 4, 8, 8}});
  const auto data = read(folder.write("a.json", file.dump()));
  ASSERT_EQ(data.images.size(), 1);
  EXPECT_TRUE(data.complete);
  EXPECT_EQ(data.images[0].objects.size(), 2);
  ASSERT_EQ(data.images[0].questions.size(), 1);
  EXPECT_EQ(data.images[0].questions[0].text, "traffic light");
  EXPECT_EQ(data.images[0].questions[0].objects, (std::vector<int>{0, 1}));
}

TEST(OwnData, ExpressionsOfOnePictureComeTogether) {
  RunFolder folder("own-rec");
  add_picture(folder);
  json file = {{"images", json::array()},
               {"annotations", json::array()},
               {"categories", {{{"id", 1}, {"name", "object"}}}}};
  for (int i = 0; i < 2; ++i) {
    file["images"].push_back({{"id", i},
                              {"file_name", "a.png"},
                              {"width", 40},
                              {"height", 20},
                              {"caption", i ? "the left one" : "a cup"}});
    file["annotations"].push_back({{"id", i},
                                   {"image_id", i},
                                   {"category_id", 1},
                                   {"bbox", {i * 10, 0, 8, 8}},
                                   {"area", 64}});
  }
  const auto data = read(folder.write("rec.json", file.dump()));
  ASSERT_EQ(data.images.size(), 1);
  ASSERT_EQ(data.images[0].questions.size(), 2);
  EXPECT_EQ(data.images[0].questions[1].text, "the left one");
  EXPECT_EQ(data.images[0].questions[1].objects, (std::vector<int>{1}));
}

TEST(OwnData, RegionCaptionsAreRead) {
  RunFolder folder("own-vg");
  add_picture(folder, "9.png");
  std::filesystem::rename(folder / "9.png", folder / "9.jpg");  // known by its first bytes
  const json file = {{{"regions",
                       {{{"region_id", 1},
                         {"image_id", 9},
                         {"x", 1},
                         {"y", 1},
                         {"width", 9},
                         {"height", 8},
                         {"phrase", "a red cup"}}}}}};
  const auto data = read(folder.write("vg.json", file.dump()));
  ASSERT_EQ(data.images.size(), 1);
  EXPECT_EQ(data.images[0].width, 40);  // the file does not say
  EXPECT_EQ(data.images[0].questions[0].task, Task::kCaption);
  EXPECT_EQ(data.images[0].questions[0].text, "a red cup");
}

TEST(OwnData, ConversationsKeepTheirPhrasesAndRegions) {
  RunFolder folder("own-chat");
  add_picture(folder);
  const json line = {{"id", 1},
                     {"image", "a.png"},
                     {"task", "chat"},
                     {"turns",
                      {{{"question", "What is <box>?"},
                        {"question_boxes", {{1, 1, 9, 9}}},
                        {"answer", "<p>a cup</p> <roi><box><box></roi> on a table."},
                        {"answer_boxes", {{1, 1, 9, 9}, {20, 2, 30, 12}}},
                        {"grounded", true}}}}};
  const auto data = read(folder.write("chat.jsonl", line.dump() + "\n"));
  ASSERT_EQ(data.images[0].objects.size(), 2);
  const auto& turn = data.images[0].questions[0].turns[0];
  EXPECT_TRUE(turn.grounded);
  EXPECT_EQ(tagged(turn.answer, Speaker::kAssistant, [](int o) { return std::to_string(o); }),
            "<p>a cup</p><roi>01</roi> on a table.");
  EXPECT_EQ(tagged(turn.question, Speaker::kUser, [](int o) { return std::to_string(o); }),
            "What is 0?");
}

TEST(OwnData, MistakesNameFileAndEntry) {
  RunFolder folder("own-wrong");
  add_picture(folder);
  const auto has = [](const std::string& message, std::initializer_list<const char*> parts) {
    for (const char* part : parts) {
      EXPECT_NE(message.find(part), std::string::npos) << part << " in: " << message;
    }
  };
  has(refusal(folder.write("b.json", coco_file({{50, 2, 10, 10}}).dump())),
      {"b.json", "entry 7, annotation 1", "outside its picture of 40 x 20"});
  auto nan = coco_file({{1, 2, 10, 10}}).dump();
  nan.replace(nan.find("[1,"), 3, "[NaN,");
  has(refusal(folder.write("c.json", nan)), {"c.json", "annotations[0].bbox[0]", "NaN"});
  auto missing = coco_file({{1, 2, 10, 10}});
  missing["images"][0]["file_name"] = "no.png";
  has(refusal(folder.write("d.json", missing.dump())),
      {"d.json", "entry 7", "no picture 'no.png'"});
  const auto chat = [&](const char* answer) {
    const json line = {{"id", "x"},
                       {"image", "a.png"},
                       {"task", "chat"},
                       {"turns", {{{"question", "Hi?"}, {"answer", answer}}}}};
    return refusal(folder.write("e.jsonl", line.dump()));
  };
  has(chat("  "), {"e.jsonl", "entry 'x'", "turns[0].answer", "empty"});
  has(chat("see <image>"), {"turns[0].answer", "'<image>'", "token"});
  has(chat("see <r7>"), {"'<r7>'"});
  has(chat("<p>cup"), {"<p> without </p>"});
  has(chat("<roi><box></roi>"), {"more <box> in the text than the 0 boxes"});
  const json caption = {{"id", 2},
                        {"image", "a.png"},
                        {"task", "caption"},
                        {"refs", {" "}},
                        {"boxes", {{1, 1, 9, 9}}}};
  has(refusal(folder.write("f.jsonl", caption.dump())), {"f.jsonl", "entry 2", "caption", "empty"});
}

TEST(OwnData, WrongEntriesCanBeLeftOut) {
  RunFolder folder("own-skip");
  add_picture(folder);
  auto file = coco_file({{1, 2, 10, 10}});
  file["images"].push_back({{"id", 8}, {"file_name", "no.png"}, {"width", 9}, {"height", 9}});
  std::string note;
  const auto data = read_own_images(source_of(folder.write("a.json", file.dump())), true, true,
                                    [&](const std::string& text) { note = text; });
  EXPECT_EQ(data.images.size(), 1);
  EXPECT_NE(note.find("1 wrong entries left out"), std::string::npos) << note;
}

TEST(OwnData, PicturesOfAnotherSizeThanAnnotatedAreNamed) {
  RunFolder folder("own-size");
  add_picture(folder, "a.png", 41, 20);
  TrainingData::Options options;
  options.sources = {source_of(folder.write("a.json", coco_file({{1, 2, 10, 10}}).dump()))};
  options.image_size = 84;
  const TrainingData data(options);
  try {
    data.batch({}, 1, 0, 1);
    FAIL() << "a wrong size went unnoticed";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("entry 7: 'a.png'") == std::string::npos &&
                  std::string(error.what()).find("is 41 x 20 pixels, the annotations say 40 x 20"),
              std::string::npos)
        << error.what();
  }
}

TEST(TrainingData, EveryPictureComesOnceARound) {
  for (const int64_t size : {1, 2, 5, 64, 1000}) {
    std::set<int64_t> seen;
    for (int64_t i = 0; i < size; ++i) {
      const auto place = permuted(i, size, 17);
      EXPECT_GE(place, 0);
      EXPECT_LT(place, size);
      seen.insert(place);
    }
    EXPECT_EQ(static_cast<int64_t>(seen.size()), size);
  }
  EXPECT_NE(permuted(3, 1000, 1), permuted(3, 1000, 2));
}

TEST(TrainingData, SharesOfSourcesAreKept) {
  RunFolder folder("own-shares");
  add_picture(folder);
  TrainingData::Options options;
  options.sources = {source_of(folder.write("a.json", coco_file({{1, 2, 10, 10}}).dump())), {}};
  options.sources[0].share = 3;
  options.sources[0].segments = true;
  options.sources[1].world = "shapes";
  options.sources[1].share = 1;
  options.image_size = 84;
  const TrainingData data(options);
  EXPECT_TRUE(data.draws_worlds());
  EXPECT_TRUE(data.has_segments());
  WorldOptions world;
  world.size = 84;
  int own = 0;
  for (int i = 0; i < 1000; ++i) {
    const auto batch = data.batch(world, 1, i, 1);
    own += batch.is_own(0);
    EXPECT_EQ(batch.truth[0].segments, batch.is_own(0));
  }
  EXPECT_EQ(own, 750);
}

TEST(OwnData, SharesBelowNothingAreRefused) {
  TrainingData::Options options;
  options.sources.emplace_back().world = "shapes";
  options.sources[0].share = -1;
  try {
    const TrainingData data(options);
    FAIL() << "a share of -1 was taken";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("has a share of -1; give a number above 0"),
              std::string::npos)
        << error.what();
  }
}

/// Mean loss of the first and of the last reports of a run.
std::pair<double, double> loss_falls(const TrainOptions& options) {
  std::vector<double> losses;
  train(options, [&](const TrainProgress& progress) { losses.push_back(progress.loss); });
  return {losses.front(), losses.back()};
}

// Two passes of one picture each give the gradient of one pass over both: pictures with as many
// boxes weigh the same.
TEST(OwnData, AccumulatedPassesGiveTheGradientOfOneLargePass) {
  RunFolder folder("own-accumulate");
  testing::write_tiny_model(folder);
  add_picture(folder);
  add_picture(folder, "b.png");
  auto file = coco_file({{1, 2, 10, 10}, {20, 4, 9, 12}});
  file["images"].push_back({{"id", 8}, {"file_name", "b.png"}, {"width", 40}, {"height", 20}});
  for (int id = 3; id <= 4; ++id) {
    file["annotations"].push_back({{"id", id},
                                   {"image_id", 8},
                                   {"category_id", 3},
                                   {"bbox", {id * 5, 3, 8, 14 - id}},
                                   {"area", 9}});
  }
  const auto path = folder.write("a.json", file.dump());
  const auto moments_of = [&](const char* out, int batch, int accumulate) {
    const auto recipe = R"({"trainable": ["perceiver."], "losses": {"detection": 1}, "batch": )" +
                        std::to_string(batch) + R"(, "accumulate": )" + std::to_string(accumulate) +
                        R"(, "schedule": {"steps": 1}})";
    auto options = options_for(folder, recipe, out);
    options.threads = 1;
    options.data = {source_of(path)};
    train(options);
    return io::read_safetensors(options.out + "/state.safetensors");
  };
  const auto large = moments_of("large", 2, 1), split = moments_of("split", 1, 2);
  double most = 0, off = 0;
  for (const auto& [name, moment] : large) {
    if (!name.starts_with("first/")) continue;
    most = std::max(most, moment.abs().max().item<double>());
    off = std::max(off, (moment - split.at(name)).abs().max().item<double>());
  }
  EXPECT_GT(most, 0);
  EXPECT_LT(off, 1e-4 * most);
}

// What `groma synth` writes is read back and learnt from, in all three stages.
TEST(OwnData, AWrittenSetTrainsFromDisk) {
  RunFolder folder("own-synth");
  testing::write_tiny_model(folder);
  SetOptions set;
  set.folder = folder / "set";
  set.scenes = 12;
  set.world.size = 84;
  set.world.max_objects = 4;
  write_set(set, nullptr);
  auto detection = options_for(folder, testing::kDetection, "detection");
  detection.steps = 120;
  detection.data = {source_of(set.folder + "/instances.json")};
  const auto [seen_first, seen_last] = loss_falls(detection);
  EXPECT_LT(seen_last, 0.85 * seen_first);

  std::string recipe = testing::kAlignment;
  const auto replace = [&](const std::string& from, const std::string& to) {
    recipe.replace(recipe.find(from), from.size(), to);
  };
  replace("\"alignment\"", "\"instruction\"");
  replace("\"oracle_features\": true", "\"oracle_features\": false");
  replace("\"answer\": 1, \"copy\": 0.2, \"attention\": 0.3, \"bag\": 0.3", "\"answer\": 1");
  auto instruction = options_for(folder, recipe, "instruction");
  instruction.from = {detection.out + "/state.safetensors"};
  instruction.steps = 60;
  for (const char* name : {"rec.jsonl", "ground.json", "caption.jsonl", "chat.jsonl"}) {
    instruction.data.push_back(source_of(set.folder + "/" + name));
  }
  instruction.validation = {source_of(set.folder + "/rec.jsonl")};
  const auto [said_first, said_last] = loss_falls(instruction);
  EXPECT_LT(said_last, 0.8 * said_first);
}

}  // namespace
}  // namespace groma::train
