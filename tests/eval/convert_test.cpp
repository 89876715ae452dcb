// Annotations from every form to every other and back.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "data_folder.h"
#include "eval/annotations.h"
#include "eval/refer_pickle.h"
#include "eval/write_annotations.h"
#include "folders.h"
#include "io/file.h"
#include "io/message.h"

namespace groma::eval {
namespace {

using nlohmann::json;
using testing::holds;
using testing::message_of;

constexpr const char* kExpressions = R"([
 {"img_id": "COCO_train2014_000000580957_4", "sents": "a \"bowl\" é", "bbox": [468.3, 0.91, 171.7,
  116.12], "height": 428, "width": 640},
 {"img_id": "COCO_train2014_000000580957_4", "sents": "dish", "bbox": [468.3, 0.91, 171.7, 116.12],
  "height": 428, "width": 640},
 {"img_id": "COCO_train2014_000000000009_1", "sents": "dish", "bbox": [0, 0, 0.1, 33], "height": 100,
  "width": 200}])";

class Convert : public ::testing::Test {
 protected:
  std::string file(const std::string& name) const { return (folder_.path() / name).string(); }

  std::string write(const std::string& name, const std::string& text) const {
    io::write_file(file(name), text);
    return file(name);
  }

  std::string to(Format form, const std::string& from, const std::string& name) const {
    convert_annotations({from, Format::kAuto, "", "", false}, form, file(name));
    return file(name);
  }

  static json content(const std::string& path) {
    return json::parse(io::read_text_file(path, 1u << 30));
  }

  testing::TemporaryFolder folder_;
};

TEST_F(Convert, ExpressionsComeBackFromEveryForm) {
  const std::string start = write("start.json", kExpressions);
  const std::string jsonl = to(Format::kJsonl, start, "a.jsonl");
  EXPECT_EQ(content(to(Format::kMiniGpt, jsonl, "a.json")), content(start));
  const std::string groma = to(Format::kGroma, jsonl, "groma.json");
  EXPECT_EQ(content(to(Format::kMiniGpt, groma, "b.json")), content(start));
  const std::string mdetr = to(Format::kMdetr, groma, "mdetr.json");
  EXPECT_EQ(content(to(Format::kMiniGpt, mdetr, "c.json")), content(start));
  const std::string again = to(Format::kJsonl, mdetr, "d.jsonl");
  EXPECT_EQ(content(to(Format::kMdetr, again, "e.json")), content(mdetr));
}

TEST_F(Convert, ReferencesKeepTheirIds) {
  const std::string refs = to(Format::kRefer, write("start.json", kExpressions), "refs(unc).p");
  const auto bytes = io::MappedFile::open(refs);
  const Pickle pickle = read_pickle(bytes->bytes(), refs);
  const PickleCursor root(*pickle.root, refs, "refs");
  ASSERT_EQ(root.size(), 3u);
  EXPECT_EQ(root.at(1).field("sentences").at(0).field("sent").text(), "dish");
  EXPECT_EQ(root.at(0).field("image_id").integer(), root.at(1).field("image_id").integer());

  const std::string jsonl = to(Format::kJsonl, refs, "a.jsonl");
  const std::string again = file("refs(again).p");
  convert_annotations({jsonl, Format::kAuto, "", "", false}, Format::kRefer, again,
                      file("again.json"));
  EXPECT_EQ(io::MappedFile::open(again)->bytes(), bytes->bytes());
  EXPECT_EQ(content(file("again.json")), content(file("instances.json")));

  AnnotationFile named{refs, Format::kAuto, "", "testC", false};
  EXPECT_TRUE(holds(message_of([&] { read_annotations(named); }), "the file has val"));
  named.split = "val";
  EXPECT_EQ(read_annotations(named).entries.size(), 3u);
  named.instances = file("none.json");
  EXPECT_TRUE(holds(message_of([&] { read_annotations(named); }), "--instances"));
}

TEST_F(Convert, TheGoogleSplitIsRefusedUnlessAskedFor) {
  const std::string refs = to(Format::kRefer, write("start.json", kExpressions), "refs(google).p");
  EXPECT_TRUE(holds(message_of([&] {
                      read_annotations({refs, Format::kAuto, "", "", false});
                    }),
                    "shares images between train and val"));
  EXPECT_EQ(read_annotations({refs, Format::kAuto, "", "", true}).entries.size(), 3u);
}

TEST_F(Convert, RegionCaptionsOfOneBoxStayTogether) {
  const std::string start = write("start.json", R"({"images": [{"id": 7, "file_name": "7.jpg",
    "width": 90, "height": 80}], "annotations": [
    {"id": 1, "image_id": 7, "bbox": [1, 2, 30.5, 4], "area": 100.5, "iscrowd": 0, "category_id": 1,
     "caption": "a hat"}, {"id": 2, "image_id": 7, "bbox": [1, 2, 30.5, 4], "area": 100.5,
     "iscrowd": 0, "category_id": 1, "caption": "hat"}],
    "categories": [{"id": 1, "name": "object"}]})");
  const std::string jsonl = to(Format::kJsonl, start, "a.jsonl");
  const json line = content(jsonl);
  EXPECT_EQ(line["boxes"].size(), 1u);
  EXPECT_EQ(line["refs"], json::parse(R"(["a hat", "hat"])"));
  EXPECT_EQ(content(to(Format::kCaptions, jsonl, "b.json")), content(start));
  const json genome = content(to(Format::kVisualGenome, start, "c.json"));
  EXPECT_EQ(genome[0]["regions"][1]["phrase"], "hat");
}

TEST_F(Convert, SaysWhatAFormCannotHold) {
  const std::string two = write("two.json", R"({"images": [{"id": 7, "file_name": "7.jpg",
    "width": 90, "height": 80, "caption": "hats"}], "annotations": [
    {"id": 1, "image_id": 7, "bbox": [1, 2, 3, 4], "area": 12, "category_id": 1},
    {"id": 2, "image_id": 7, "bbox": [5, 2, 3, 4], "area": 12, "category_id": 1}],
    "categories": [{"id": 1, "name": "object"}]})");
  EXPECT_TRUE(holds(message_of([&] { to(Format::kMiniGpt, two, "out.json"); }),
                    "entry 7 has 2 boxes; this form holds exactly one"));
  EXPECT_FALSE(std::filesystem::exists(file("out.json")));
}

TEST_F(Convert, RealExpressionsComeBack) {
  const auto folder = testing::data_folder() / "refcoco";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is not here";
  for (const char* name : {"refcoco_testB.json", "refcocog_val.json"}) {
    const std::string start = (folder / name).string();
    const std::string jsonl = to(Format::kJsonl, start, "a.jsonl");
    EXPECT_EQ(content(to(Format::kMiniGpt, jsonl, "a.json")), content(start));
    const std::string refs = to(Format::kRefer, start, "refs(unc).p");
    const json back = content(to(Format::kMiniGpt, refs, "b.json"));
    ASSERT_EQ(back.size(), content(start).size());
    EXPECT_EQ(back[17]["sents"], content(start)[17]["sents"]);
    EXPECT_EQ(back[17]["bbox"], content(start)[17]["bbox"]);
  }
}

TEST_F(Convert, RealLvisAnnotationsScoreTheSameAfterwards) {
  const auto start = testing::data_folder() / "lvis" / "lvis_val_100.json";
  if (!std::filesystem::exists(start)) GTEST_SKIP() << start << " is not here";
  const std::string back =
      to(Format::kLvis, to(Format::kJsonl, start.string(), "a.jsonl"), "b.json");
  const Dataset before = read_annotations({start.string(), Format::kAuto, "", "", false});
  const Dataset after = read_annotations({back, Format::kAuto, "", "", false});
  std::vector<DetectedBox> found;
  for (const Annotation& box : before.annotations) {
    const double shift = static_cast<double>(box.id % 7);
    found.push_back({box.entry_id,
                     box.category,
                     {box.bbox[0] + shift, box.bbox[1], box.bbox[2], box.bbox[3]},
                     static_cast<double>(box.id % 10) / 10});
  }
  const auto one = lvis_metrics(box_truth(before), found).summary;
  const auto two = lvis_metrics(box_truth(after), found).summary;
  ASSERT_EQ(one.size(), two.size());
  for (std::size_t i = 0; i < one.size(); ++i) {
    EXPECT_GT(one[i].value, 0) << one[i].name;
    EXPECT_NEAR(one[i].value, two[i].value, 1e-12) << one[i].name;  // other order of summation
  }
}

}  // namespace
}  // namespace groma::eval
