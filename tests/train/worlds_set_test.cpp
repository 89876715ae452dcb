#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <sstream>
#include <stdexcept>
#include <string>

#include "train/worlds/write_set.h"
#include "worlds_support.h"

namespace groma::train {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::drawable_worlds;

class WorldsSet : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              ("groma_worlds_" + std::to_string(::getpid()) + "_" +
               ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  SetOptions options(const std::string& name, std::int64_t scenes, World world = World::kShapes) {
    SetOptions result;
    result.folder = (folder_ / name).string();
    result.scenes = scenes;
    result.seed = 7;
    result.world.world = world;
    result.world.test = true;
    return result;
  }

  static std::string text_of(const fs::path& path) {
    std::ifstream stream(path, std::ios::binary);
    std::ostringstream text;
    text << stream.rdbuf();
    return text.str();
  }

  json json_of(const std::string& name) { return json::parse(text_of(folder_ / name)); }

  std::vector<json> lines_of(const std::string& name) {
    std::istringstream stream(text_of(folder_ / name));
    std::vector<json> lines;
    for (std::string line; std::getline(stream, line);) lines.push_back(json::parse(line));
    return lines;
  }

  fs::path folder_;
};

void expect_box_inside(const json& box, int size) {
  ASSERT_EQ(box.size(), 4u);
  EXPECT_GE(box[0], 0);
  EXPECT_GE(box[1], 0);
  EXPECT_GT(box[2], box[0]);
  EXPECT_GT(box[3], box[1]);
  EXPECT_LE(box[2], size);
  EXPECT_LE(box[3], size);
}

TEST_F(WorldsSet, SameBytesForAnyNumberOfThreads) {
  const World world = drawable_worlds().size() > 1 ? World::kBoth : World::kShapes;
  auto one = options("one", 70, world);
  one.threads = 1;
  auto many = options("many", 70, world);
  many.threads = 5;
  write_set(one, nullptr);
  write_set(many, nullptr);
  int files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(one.folder)) {
    if (!entry.is_regular_file()) continue;
    ++files;
    const fs::path other = many.folder / fs::relative(entry.path(), one.folder);
    EXPECT_EQ(text_of(entry.path()), text_of(other)) << other;
  }
  EXPECT_EQ(files, 70 + 6);
  auto other_seed = options("other", 70, world);
  other_seed.seed = 8;
  write_set(other_seed, nullptr);
  EXPECT_NE(text_of(folder_ / "one/rec.jsonl"), text_of(folder_ / "other/rec.jsonl"));
}

TEST_F(WorldsSet, LinesOfReferringExpressionsAreComplete) {
  write_set(options("set", 40), nullptr);
  const auto lines = lines_of("set/rec.jsonl");
  ASSERT_GT(lines.size(), 100u);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const json& line = lines[i];
    EXPECT_EQ(line["id"], i + 1);
    EXPECT_EQ(line["task"], "rec");
    EXPECT_EQ(line["box_format"], "xyxy");
    EXPECT_EQ(line["box_unit"], "px");
    ASSERT_EQ(line["boxes"].size(), 1u);
    expect_box_inside(line["boxes"][0], 224);
    const auto& blind = line["blind"];
    EXPECT_NE(std::find(blind.begin(), blind.end(), line["boxes"][0]), blind.end());
    EXPECT_EQ(line["kind"] == "attr", line["anchors"].empty());
    EXPECT_TRUE(fs::exists(folder_ / "set" / line["image"].get<std::string>()));
  }
  for (const auto& line : lines_of("set/caption.jsonl")) {
    EXPECT_EQ(line["task"], "caption");
    EXPECT_EQ(line["refs"], json::array({line["text"]}));
    expect_box_inside(line["boxes"][0], 224);
  }
}

TEST_F(WorldsSet, ConversationsHaveABoxForEveryPlaceholder) {
  write_set(options("set", 40), nullptr);
  const auto placeholders = [](const std::string& text) {
    std::size_t count = 0;
    for (auto at = text.find("<box>"); at != text.npos; at = text.find("<box>", at + 1)) ++count;
    return count;
  };
  std::map<std::string, int> kinds;
  for (const auto& line : lines_of("set/chat.jsonl")) {
    ++kinds[line["kind"]];
    EXPECT_EQ(line["boxes"].size(), line["phrases"].size());
    for (const auto& turn : line["turns"]) {
      for (const char* part : {"question", "answer", "steps"}) {
        if (!turn.contains(part)) continue;
        const auto& boxes = turn[std::string(part) + "_boxes"];
        EXPECT_EQ(placeholders(turn[part]), boxes.size()) << turn[part];
        for (const auto& box : boxes) expect_box_inside(box, 224);
      }
    }
    EXPECT_EQ(line["boxes"], line["turns"][0]["answer_boxes"]);
  }
  for (const char* kind : {"describe", "count", "yes_no", "absent", "dialogue"}) {
    EXPECT_GT(kinds[kind], 10) << kind;
  }
}

TEST_F(WorldsSet, InstancesHaveTheMasksOfTheirScenes) {
  const auto set = options("set", 12);
  write_set(set, nullptr);
  const json file = json_of("set/instances.json");
  ASSERT_EQ(file["images"].size(), 12u);
  const std::uint64_t first_seed = Random(set.seed).next();
  std::map<int, std::vector<json>> by_image;
  for (const auto& it : file["annotations"]) by_image[it["image_id"]].push_back(it);
  for (int image = 1; image <= 12; ++image) {
    const Scene scene = draw_scene(set.world, first_seed + image - 1);
    const cv::Mat picture = cv::imread(
        (folder_ / "set" / file["images"][image - 1]["file_name"].get<std::string>()).string());
    ASSERT_EQ(picture.cols, 224);
    EXPECT_EQ(picture.at<cv::Vec3b>(100, 50)[2], scene.rgb[3 * (100 * 224 + 50)]);
    ASSERT_EQ(by_image[image].size(), scene.objects.size());
    for (std::size_t i = 0; i < scene.objects.size(); ++i) {
      const json& annotation = by_image[image][i];
      std::vector<std::uint8_t> mask(224 * 224, 0);
      std::size_t at = 0;
      std::uint8_t value = 0;
      int area = 0;
      for (const int run : annotation["segmentation"]["counts"]) {
        for (int k = 0; k < run; ++k, ++at) mask[at % 224 * 224 + at / 224] = value;
        area += value * run;
        value = value == 0 ? 1 : 0;
      }
      EXPECT_EQ(at, mask.size());
      EXPECT_EQ(mask, visible_mask(scene, static_cast<int>(i)));
      EXPECT_EQ(annotation["area"], area);
      EXPECT_EQ(annotation["bbox"][0], scene.objects[i].box.x1);
      EXPECT_EQ(file["categories"][annotation["category_id"].get<int>() - 1]["name"],
                scene.objects[i].kind);
    }
  }
}

TEST_F(WorldsSet, GroundingAsksForOneCategoryAnImage) {
  write_set(options("set", 40), nullptr);
  const json file = json_of("set/ground.json");
  std::map<int, int> category_of;
  std::map<int, int> instances;
  for (std::size_t i = 0; i < file["annotations"].size(); ++i) {
    const json& it = file["annotations"][i];
    EXPECT_EQ(it["id"], i + 1);
    const auto [place, is_new] = category_of.try_emplace(it["image_id"], it["category_id"]);
    EXPECT_EQ(place->second, it["category_id"]);
    ++instances[it["category_id"]];
  }
  EXPECT_EQ(category_of.size(), file["images"].size());
  for (std::size_t i = 0; i < file["images"].size(); ++i) {
    const json& image = file["images"][i];
    EXPECT_EQ(image["id"], i + 1);
    for (const int absent : image["neg_category_ids"]) EXPECT_NE(absent, category_of[i + 1]);
    EXPECT_TRUE(image["not_exhaustive_category_ids"].empty());
  }
  for (const auto& category : file["categories"]) {
    EXPECT_EQ(category["instance_count"], instances[category["id"]]);
    EXPECT_FALSE(category["name"].get<std::string>().empty());
  }
}

TEST_F(WorldsSet, ATestSetIsAsHardAsAskedFor) {
  for (const World world : drawable_worlds()) {
    const std::string name = world == World::kShapes ? "shapes" : "things";
    write_set(options(name, 300, world), nullptr);
    const json meta = json_of(name + "/meta.json");
    EXPECT_EQ(meta["options"]["world"], name);
    const json& statistics = meta["statistics"];
    EXPECT_EQ(statistics["scenes"], 300);
    EXPECT_GE(statistics["below_ninth_of_side"], 0.25) << name;
    EXPECT_GE(statistics["partly_hidden"], 0.30) << name;
    EXPECT_GE(statistics["refer_relational"], 0.5) << name;
    EXPECT_GT(statistics["refer_two_distractors_of_kind"], 0.5) << name;
    for (const char* kind : {"rel", "sup", "ord"}) {
      EXPECT_LT(statistics["blind_baseline"][kind], 0.5) << name << " " << kind;
    }
  }
}

TEST_F(WorldsSet, NothingIsOverwrittenAndNothingHalfDoneRemains) {
  const auto set = options("set", 3);
  fs::create_directories(set.folder);  // empty: may be taken
  write_set(set, nullptr);
  try {
    write_set(set, nullptr);
    FAIL() << "overwrote a folder";
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()), "write scenes: '" + set.folder +
                                             "' exists and is not an empty folder; give a new one");
  }
  const auto broken = options("broken", 200);
  EXPECT_THROW(write_set(broken, [](double) { throw std::runtime_error("stop"); }),
               std::runtime_error);
  EXPECT_FALSE(fs::exists(broken.folder));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

TEST_F(WorldsSet, WrongOptionsAreNamed) {
  const auto message = [](const SetOptions& set) {
    try {
      write_set(set, nullptr);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(message(options("a", 0)), "write scenes: 0 of them; take 1 to 10000000");
  auto tiny = options("b", 1);
  tiny.world.size = 8;
  EXPECT_EQ(message(tiny), "draw a scene: picture of 8 pixels a side; take 64..1024");
  EXPECT_TRUE(fs::is_empty(folder_));
}

}  // namespace
}  // namespace groma::train
