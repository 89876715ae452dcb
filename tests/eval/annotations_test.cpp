// Reading annotation files: kinds told apart, mistakes named, nothing counted differently in
// silence.

#include "eval/annotations.h"

#include <gtest/gtest.h>

#include <ctime>

#include "io/message.h"

namespace groma::eval {
namespace {

using testing::holds;
using testing::message_of;

constexpr const char* kGroma = R"({"images": [
  {"id": 3, "file_name": "a.jpg", "width": 640, "height": 480, "caption": "left man"},
  {"id": 5, "file_name": "a.jpg", "width": 640, "height": 480, "caption": "right man"}],
 "annotations": [
  {"id": 0, "image_id": 5, "bbox": [10, 20, 30.5, 40], "area": 1220, "category_id": 1},
  {"id": 1, "image_id": 3, "bbox": [1, 2, 3, 4], "area": 12, "category_id": 1, "ignore": 1}],
 "categories": [{"id": 1, "name": "object"}]})";
constexpr const char* kMdetr = R"({"images": [{"id": 0, "file_name": "a.jpg", "width": 64,
 "height": 48, "caption": "left man", "original_id": 7, "dataset_name": "refcoco",
 "tokens_negative": [[0, 8]]}], "annotations": [{"id": 0, "image_id": 0, "bbox": [1, 2, 3, 4],
 "area": 12, "category_id": 1, "tokens_positive": [[5, 8]]}],
 "categories": [{"id": 1, "name": "object"}]})";
constexpr const char* kMiniGpt = R"([{"img_id": "COCO_train2014_000000580957_4", "sents": "a bowl",
 "bbox": [468.3, 0.91, 171.7, 116.12], "height": 428, "width": 640}])";
constexpr const char* kLvis = R"lvis({"categories": [{"id": 4, "name": "bow_(weapon)",
 "frequency": "r"}], "images": [{"id": 8, "width": 64, "height": 48, "neg_category_ids": [],
 "coco_url": "http://images.cocodataset.org/val2017/000000000008.jpg",
 "not_exhaustive_category_ids": [4]}], "annotations": [{"id": 9, "image_id": 8, "category_id": 4,
 "bbox": [1, 2, 3, 4], "area": 6.5, "segmentation": [[1, 2, 3, 4, 5, 6]]}]})lvis";
constexpr const char* kCaptions = R"({"images": [{"id": 1, "file_name": "a.jpg"}], "annotations":
 [{"id": 1, "image_id": 1, "bbox": [1, 2, 3, 4], "area": 12, "caption": "a hat"}]})";
constexpr const char* kGenome = R"([{"id": 1, "regions": [{"region_id": 5, "image_id": 1, "x": 1,
 "y": 2, "width": 3, "height": 4, "phrase": "a hat"}]}])";
constexpr const char* kJsonl =
    R"({"id": "s-1", "image": "a.jpg", "width": 100, "height": 50, )"
    R"("task": "rec", "text": "a hat", "boxes": [[0.1, 0.2, 0.5, 0.6]], )"
    R"("box_unit": "norm"})"
    "\n"
    R"({"id": 7, "image": "b.jpg", "task": "caption", )"
    R"("boxes": [[5, 5, 4, 2]], "box_format": "cxcywh", )"
    R"("refs": ["a hat", "hat"]})"
    "\n";

Dataset read(std::string_view text) {
  return read_annotations(text, {"file", Format::kAuto, "", "", false});
}

TEST(Annotations, TellsKindsByTheirContent) {
  EXPECT_EQ(read(kGroma).format, Format::kGroma);
  EXPECT_EQ(read(kMdetr).format, Format::kMdetr);
  EXPECT_EQ(read(kMiniGpt).format, Format::kMiniGpt);
  EXPECT_EQ(read(kLvis).format, Format::kLvis);
  EXPECT_EQ(read(kCaptions).format, Format::kCaptions);
  EXPECT_EQ(read(kGenome).format, Format::kVisualGenome);
  EXPECT_EQ(read(kJsonl).format, Format::kJsonl);
  EXPECT_EQ(format_named("lvis"), Format::kLvis);
  EXPECT_TRUE(holds(message_of([] { format_named("voc"); }), "expected one of auto, groma"));
}

TEST(Annotations, ReadsWhatTheyHold) {
  const Dataset groma = read(kGroma);
  EXPECT_EQ(groma.entries[1].text, "right man");
  EXPECT_EQ(groma.annotations[0].entry, 1u);
  EXPECT_EQ(groma.annotations[0].bbox, (XywhBox{10, 20, 30.5, 40}));
  EXPECT_TRUE(groma.annotations[1].ignore);

  const Dataset minigpt = read(kMiniGpt);
  EXPECT_EQ(minigpt.entries[0].image, "COCO_train2014_000000580957.jpg");
  EXPECT_EQ(minigpt.entries[0].height, 428);

  const Dataset lvis = read(kLvis);
  EXPECT_EQ(lvis.entries[0].image, "val2017/000000000008.jpg");
  EXPECT_EQ(lvis.annotations[0].area, 6.5);  // of the mask
  EXPECT_EQ(lvis.categories[0].frequency, 'r');

  const Dataset genome = read(kGenome);
  EXPECT_EQ(genome.entries[0].image, "1.jpg");
  EXPECT_EQ(genome.annotations[0].text, "a hat");
}

TEST(Annotations, JsonlBoxesComeInAnyConventionAndUnit) {
  const Dataset data = read(kJsonl);
  ASSERT_EQ(data.annotations.size(), 3u);
  EXPECT_EQ(data.entries[0].label(), "s-1");
  EXPECT_EQ(data.entries[1].label(), "7");
  EXPECT_NEAR(data.annotations[0].bbox[0], 10, 1e-12);
  EXPECT_NEAR(data.annotations[0].bbox[2], 40, 1e-12);
  EXPECT_NEAR(data.annotations[0].bbox[3], 20, 1e-12);
  EXPECT_EQ(data.annotations[1].bbox, (XywhBox{3, 4, 4, 2}));
  EXPECT_EQ(data.annotations[2].text, "hat");  // several captions of one box
}

TEST(Annotations, AMissingAreaIsThatOfTheBoxAndSaidSo) {
  std::string text = kGroma;
  text.replace(text.find("\"area\": 1220, "), 14, "");
  const Dataset data = read(text);
  EXPECT_EQ(data.annotations[0].area, 1220);
  ASSERT_EQ(data.warnings.size(), 1u);
  EXPECT_TRUE(holds(data.warnings[0], "1 of 2 annotations have no area"));
  EXPECT_TRUE(holds(data.warnings[0], "annotations[0]"));
}

/// The message for kGroma with one piece of text replaced.
std::string refusal(const char* from, const char* to, std::string text = kGroma) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  text.replace(at, std::string(from).size(), to);
  return message_of([&] { read(text); });
}

TEST(Annotations, NameFileEntryAndFieldOfAMistake) {
  EXPECT_TRUE(holds(refusal("\"id\": 3", "\"id\": \"3\""), "images[0].id: found"));
  EXPECT_TRUE(holds(refusal("\"id\": 3,", ""), "images[0]: no 'id'"));
  EXPECT_TRUE(
      holds(refusal("\"id\": 5", "\"id\": 3"), "images[1].id: 3 is already the id of images[0]"));
  EXPECT_TRUE(holds(refusal("\"id\": 1, \"image_id\"", "\"id\": 0, \"image_id\""),
                    "annotations[1].id: 0 is already"));
  EXPECT_TRUE(holds(refusal("\"image_id\": 5", "\"image_id\": 55"),
                    "annotations[0].image_id: 55 is not the id of any entry of images"));
  EXPECT_TRUE(holds(refusal("\"category_id\": 1}", "\"category_id\": 2}"),
                    "annotations[0].category_id: 2 is not"));
  EXPECT_TRUE(holds(refusal("30.5", "NaN"), "annotations[0].bbox[2]: found NaN"));
  EXPECT_TRUE(holds(refusal("30.5", "-1"), "annotations[0].bbox: found width -1"));
  EXPECT_TRUE(holds(refusal("30.5,", ""), "annotations[0].bbox: found 3 numbers"));
  EXPECT_TRUE(holds(refusal("[10, 20, 30.5, 40]", "null"), "annotations[0].bbox: found"));
  EXPECT_TRUE(holds(refusal("\"area\": 1220", "\"area\": \"big\""), "annotations[0].area: found"));
  EXPECT_TRUE(holds(refusal("\"caption\": \"left man\"", "\"caption\": 3"), "images[0].caption"));
  EXPECT_TRUE(holds(refusal("\"width\": 640", "\"width\": -640"), "images[0].width: found -640"));
  EXPECT_TRUE(holds(refusal("\"images\"", "\"pictures\""), "no 'images'"));
  EXPECT_TRUE(holds(refusal("\"r\"", "\"x\"", kLvis), "categories[0].frequency: found 'x'"));
  EXPECT_TRUE(holds(refusal("\"sents\": \"a bowl\",", "", kMiniGpt), "[0]: no 'sents'"));
  EXPECT_TRUE(holds(refusal("\"id\": 7", "\"id\": \"s-1\"", kJsonl), "'s-1' came before"));
  EXPECT_TRUE(holds(refusal("\"norm\"", "\"cm\"", kJsonl), ":1': box_unit: found 'cm'"));
  EXPECT_TRUE(holds(refusal("[[5, 5, 4, 2]]", "[[5, 5, 4]]", kJsonl), ":2': boxes[0]: found 3"));
  EXPECT_TRUE(holds(message_of([] { read("{\"images\": [], \"annotations\": []}"); }),
                    "images: the list is empty"));
  EXPECT_TRUE(holds(message_of([] { read("[]"); }), "the list is empty"));
  EXPECT_TRUE(holds(message_of([] { read(""); }), "the file is empty"));
  EXPECT_TRUE(holds(message_of([] { read("id,x,y"); }), "expected JSON, JSONL, the pickle"));
}

TEST(Annotations, ACutFileIsNoticedAtEveryByte) {
  for (const char* whole : {kGroma, kMdetr, kMiniGpt, kLvis, kCaptions, kGenome}) {
    const std::string text = whole;
    for (std::size_t size = 0; size < text.size(); ++size) {
      EXPECT_NE(message_of([&] { read(text.substr(0, size)); }), "") << size;
    }
  }
}

TEST(Annotations, BoxesOutsideTheImageAreCountedAndTakeNoPart) {
  std::string text = kGroma;
  text.replace(text.find("[10, 20, 30.5, 40]"), 18, "[900, 20, 30.5, 40]");
  const Dataset data = read(text);
  ASSERT_EQ(data.warnings.size(), 1u);
  EXPECT_TRUE(holds(data.warnings[0], "1 of 2 annotations have a box (bbox) wholly outside"));
  EXPECT_EQ(drop_reason(data.entries[1], data.annotations[0]), "the box does not meet the image");
  EXPECT_EQ(drop_reason(data.entries[0], data.annotations[1]), "the annotation is to be ignored");
}

TEST(Annotations, AnEntryAsksForTheCategoryOfItsFirstBoxThatTakesPart) {
  std::string text = kLvis;
  text.replace(text.find("[{\"id\": 4,"), 10, "[{\"id\": 6, \"name\": \"hat\"}, {\"id\": 4,");
  text.replace(text.find("[{\"id\": 9,"), 10,
               "[{\"id\": 10, \"image_id\": 8, \"category_id\": 6, \"bbox\": [1, 1, 9, 9], "
               "\"area\": 0}, {\"id\": 11, \"image_id\": 8, \"category_id\": 4, \"bbox\": "
               "[1, 1, 9, 9], \"area\": 81}, {\"id\": 12, \"image_id\": 8, \"category_id\": 6, "
               "\"bbox\": [1, 1, 9, 9], \"area\": 81}, {\"id\": 9,");
  Dataset data = read(text);
  resolve_categories(data);
  EXPECT_EQ(data.entries[0].category, 4);
  ASSERT_EQ(data.warnings.size(), 1u);
  EXPECT_TRUE(holds(data.warnings[0], "more than one category"));
}

TEST(Annotations, AMillionEntriesAreReadInSeconds) {
  std::string text = "{\"images\": [";
  for (int i = 0; i < 1000000; ++i) {
    text += i ? ",{\"id\":" : "{\"id\":";
    text += std::to_string(i);
    text += ",\"file_name\":\"a.jpg\",\"width\":640,\"height\":480,\"caption\":\"a\"}";
  }
  text +=
      "], \"annotations\": [{\"id\":1,\"image_id\":999999,\"bbox\":[1,1,2,2],\"area\":4,"
      "\"category_id\":1}], \"categories\": [{\"id\":1}]}";
  const std::clock_t start = std::clock();
  const Dataset data = read(text);
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  EXPECT_EQ(data.entries.size(), 1000000u);
  EXPECT_EQ(data.annotations[0].entry, 999999u);
  EXPECT_LT(seconds, 20);  // of processor time; about 1 s, with sanitizers more
}

TEST(Annotations, DetectionsNeedAllFourFields) {
  EXPECT_TRUE(read_detections("[]", "d").empty());
  const char* good = R"([{"image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4], "score": 0.5}])";
  EXPECT_EQ(read_detections(good, "d")[0].bbox[3], 4);
  for (const char* field : {"image_id", "category_id", "bbox", "score"}) {
    std::string text = good;
    text[text.find(field)] = 'X';
    EXPECT_TRUE(holds(message_of([&] { read_detections(text, "d"); }),
                      std::string("read 'd': [0]: no '") + field + "'"));
  }
}

}  // namespace
}  // namespace groma::eval
