// The files of the published recipe, as they come, become what is trained on.

#include <gtest/gtest.h>

#include "train/own_data.h"
#include "train/training_data.h"

namespace groma::train {
namespace {

using testing::add_picture;
using testing::read;
using testing::refusal;
using testing::RunFolder;
using testing::source_of;

const std::string kColumns =
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,"
    "IsDepiction,IsInside\n";

std::string numbered(const Utterance& text, Speaker speaker) {
  return tagged(text, speaker, [](int object) { return std::to_string(object); });
}

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(PublishedData, GromaInstructAsksForPhrasesWithTheirBoxes) {
  RunFolder folder("published-instruct");
  add_picture(folder);
  const auto path = folder.write("groma_instruct.json", R"([{"file_name": "a.png", "width": 40,
    "height": 20, "boxes": [[1, 1, 8, 8], [20, 2, 10, 10]], "conversation": [
    {"from": "human", "value": "Who is there?"}, {"from": "gpt",
     "value": "<p> Two men </p> <roi> <ground_box> <ground_box> </roi> wait.", "box_inds": [1, 0]}]}])");
  const auto data = read(path);
  ASSERT_EQ(data.images.size(), 1);
  EXPECT_EQ(data.images[0].objects.size(), 2);
  ASSERT_EQ(data.images[0].questions.size(), 1);
  EXPECT_EQ(data.images[0].questions[0].task, Task::kDialogue);
  const auto& turn = data.images[0].questions[0].turns[0];
  EXPECT_TRUE(turn.grounded);
  EXPECT_EQ(numbered(turn.question, Speaker::kUser), "Who is there?");
  EXPECT_EQ(numbered(turn.answer, Speaker::kAssistant), "<p>Two men</p><roi>10</roi> wait.");
  EXPECT_EQ(data.images[0].objects[1].xyxy, (std::array<float, 4>{20, 2, 30, 12}));
}

// Flickr30k Entities in MDETR's form: a caption is a picture's entry, its phrases are ranges of
// characters, and RefCOCO's expressions of the same form name their set.
TEST(PublishedData, CaptionsOfFlickrNameTheirPhrases) {
  RunFolder folder("published-flickr");
  add_picture(folder);
  const auto file = [&](const std::string& ranges) {
    return folder.write("flickr.json", R"({"images": [{"id": 5, "file_name": "a.png", "width": 40,
      "height": 20, "caption": "A man \u2014 and two dogs run."}], "categories": [{"id": 1, "name": "object"}],
      "annotations": [{"id": 1, "image_id": 5, "category_id": 1, "bbox": [1, 1, 8, 8], "area": 64,
      "tokens_positive": [[0, 5]]}, {"id": 2, "image_id": 5, "category_id": 1, "bbox": [20, 2, 10, 10],
      "area": 100, "tokens_positive": )" + ranges +
                                           "}, " + R"({"id": 3, "image_id": 5,
      "category_id": 1, "bbox": [30, 2, 9, 10], "area": 90, "tokens_positive": [[12, 20]]}]})");
  };
  const auto data = read(file("[[12, 20]]"));
  ASSERT_EQ(data.images[0].questions.size(), 1);
  EXPECT_EQ(data.images[0].questions[0].task, Task::kDescribe);
  EXPECT_EQ(numbered(data.images[0].questions[0].turns[0].answer, Speaker::kAssistant),
            "<p>A man</p><roi>0</roi> \u2014 and <p>two dogs</p><roi>12</roi> run.");
  EXPECT_TRUE(
      holds(refusal(file("[[12, 90]]")),
            "entry 5, annotation 2: tokens_positive: '[12,90]' is no range of a caption of 25"))
      << refusal(file("[[12, 90]]"));
  EXPECT_TRUE(holds(refusal(file("[[14, 22]]")), "caption: two phrases overlap"));
}

TEST(PublishedData, LlavaTalksAboutAPictureOfUnknownSize) {
  RunFolder folder("published-llava");
  add_picture(folder);
  const auto file = [&](const std::string& answer) {
    return folder.write("llava.json", R"([{"id": "1", "image": "coco/a.png", "conversations": [
      {"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": ")" +
                                          answer +
                                          R"("}]}, {"id": "2", "conversations": [
      {"from": "human", "value": "Hi."}, {"from": "gpt", "value": "Hello."}]}])");
  };
  std::vector<std::string> notes;
  const auto data = read_own_images(source_of(file("A cup.")), true, false,
                                    [&](const std::string& note) { notes.push_back(note); });
  EXPECT_EQ(data.images[0].width, 40);
  const auto& turn = data.images[0].questions[0].turns[0];
  EXPECT_FALSE(turn.grounded);
  EXPECT_EQ(turn.question.text, "What is it?");
  EXPECT_EQ(turn.answer.text, "A cup.");
  ASSERT_EQ(notes.size(), 2u);
  EXPECT_TRUE(holds(notes[0], "1 records without a picture left out")) << notes[0];
  EXPECT_TRUE(holds(notes[1], "(conversations): 1 pictures, 0 boxes, 1 questions")) << notes[1];

  for (const std::string hostile : {"<r7>", "</s>", "<image>", "<roi><box></roi>", "<p>cup"}) {
    const auto message = refusal(file("See " + hostile));
    EXPECT_TRUE(holds(message, "llava.json': entry 0.turns[0].answer: ")) << message;
  }
  EXPECT_TRUE(holds(refusal(file(" ")), "the text is empty"));
}

TEST(PublishedData, SegmentsAreAnnotatedAsSegments) {
  RunFolder folder("published-sa1b");
  std::filesystem::create_directories(folder / "sa/sa_000000");
  add_picture(folder, "sa/sa_000000/sa_1.png");
  const auto write = [&](const std::string& box) {
    folder.write(
        "sa/sa_000000/sa_1.json",
        R"({"image": {"file_name": "sa_1.png", "width": 40, "height": 20}, "annotations": )"
        R"([{"bbox": [1, 2, 8, 8], "area": 50}, {"bbox": )" +
            box + "}]}");
  };
  write("[4, 4, 0.5, 9]");
  TrainingData::Options options;
  options.sources = {source_of(folder / "sa")};
  options.image_size = 84;
  const TrainingData data(options);
  EXPECT_TRUE(data.has_segments());
  const auto own = read(folder / "sa");
  EXPECT_EQ(own.images[0].objects.size(), 1);  // the other is narrower than a pixel
  EXPECT_TRUE(own.images[0].questions.empty());
  EXPECT_TRUE(own.kinds.empty());
  write("[50, 2, 9, 9]");
  const auto message = refusal(folder / "sa");
  EXPECT_TRUE(holds(message,
                    "entry 'sa_000000/sa_1.json', annotation 2: the box 50, 2, 59, 11 lies "
                    "outside its picture of 40 x 20 pixels"))
      << message;
}

TEST(PublishedData, OpenImagesAsksForCategoriesWithAllTheirBoxes) {
  RunFolder folder("published-open");
  add_picture(folder, "0a.png");
  std::filesystem::create_directories(folder / "train");
  std::filesystem::rename(folder / "0a.png", folder / "train/0a.jpg");  // known by its first bytes
  folder.write("class-descriptions-boxable.csv", "/m/01,Traffic light\n/m/02,Tree\n/m/03,Car\n");
  auto source =
      source_of(folder.write("boxes.csv", kColumns + "0a,x,/m/01,1,0.5,0.75,0.25,0.75,0,0,0,0,0\n"
                                                     "0a,x,/m/01,1,0,0.25,0,1,0,0,0,0,0\n"
                                                     "0a,x,/m/02,1,0,0.5,0,1,0,0,0,0,0\n"
                                                     "0a,x,/m/02,1,0.5,1,0,1,0,0,1,0,0\n"
                                                     "0a,x,/m/03,0.7,0,1,0,1,0,0,0,0,0\n"));
  source.images = folder / "train";
  std::vector<std::string> notes;
  const auto data =
      read_own_images(source, true, false, [&](const std::string& note) { notes.push_back(note); });
  ASSERT_EQ(data.images.size(), 1);
  ASSERT_EQ(data.images[0].objects.size(), 3);  // neither the group nor the machine's
  EXPECT_EQ(data.images[0].objects[0].xyxy, (std::array<float, 4>{20, 5, 30, 15}));
  // Trees come in a group too: not all of them have boxes.
  ASSERT_EQ(data.images[0].questions.size(), 1);
  EXPECT_EQ(data.images[0].questions[0].text, "traffic light");
  EXPECT_EQ(data.images[0].questions[0].objects, (std::vector<int>{0, 1}));
  EXPECT_FALSE(data.complete);
  EXPECT_EQ(notes.size(), 3u);
}

TEST(PublishedData, GritAsksForPhrases) {
  RunFolder folder("published-grit");
  add_picture(folder);
  const auto data = read(folder.write("grit.json", R"([{"filename": "a.png",
    "caption": "A man, two dogs", "ref_exps": [[7, 15, 0, 0, 0.25, 0.5, 0.9], [0, 5, 0, 0, 1, 1, 0.9],
    [7, 15, 0.5, 0, 1, 0.5, 0.9]]}])"));
  ASSERT_EQ(data.images.size(), 1);
  ASSERT_EQ(data.images[0].questions.size(), 2);
  EXPECT_EQ(data.images[0].questions[0].task, Task::kGround);
  EXPECT_EQ(data.images[0].questions[0].text, "two dogs");
  EXPECT_EQ(data.images[0].questions[0].objects, (std::vector<int>{0, 1}));
  EXPECT_EQ(data.images[0].objects[1].xyxy, (std::array<float, 4>{20, 0, 40, 10}));
}

TEST(PublishedData, PicturesThatAreNotThereCanBeLeftOut) {
  RunFolder folder("published-missing");
  add_picture(folder, "0a.png");
  std::filesystem::rename(folder / "0a.png", folder / "0a.jpg");
  const auto path = folder.write("boxes.csv", kColumns + "0b,x,/m/01,1,0,1,0,1,0,0,0,0,0\n" +
                                                  "0a,x,/m/01,1,0,1,0,1,0,0,0,0,0\n");
  EXPECT_TRUE(holds(refusal(path), "boxes.csv': entry '0b': no picture '0b.jpg'")) << refusal(path);
  EXPECT_EQ(read(path, true).images.size(), 1);
}

// Objects365 names images/v2/patch16/..., and is unpacked as patch16/...; V3Det has a folder a
// category.
TEST(PublishedData, PicturesAreFoundInTheLastOfTheirFolders) {
  RunFolder folder("published-folders");
  std::filesystem::create_directories(folder / "patch16");
  add_picture(folder, "patch16/a.png");
  const auto path = folder.write("objects365.json", R"({"images": [{"id": 1, "width": 40,
    "height": 20, "file_name": "images/v2/patch16/a.png"}], "categories": [{"id": 1,
    "name": "Car"}], "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0,
    "isfake": 0, "isreflected": 0, "bbox": [1, 2, 9, 9], "area": 81}]})");
  EXPECT_EQ(read(path).images[0].file, folder / "patch16/a.png");
}

}  // namespace
}  // namespace groma::train
