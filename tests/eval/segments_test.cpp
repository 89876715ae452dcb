// SA-1B's files, one by one and as a folder.

#include <gtest/gtest.h>

#include <fstream>

#include "eval/annotations.h"
#include "folders.h"
#include "io/message.h"

namespace groma::eval {
namespace {

using testing::holds;
using testing::message_of;

constexpr const char* kFile =
    R"({"image": {"image_id": 1, "width": 40, "height": 20, "file_name": "sa_1.jpg"}, "annotations": )"
    R"([{"bbox": [1, 2, 3.5, 4], "area": 9, "segmentation": {"size": [20, 40], "counts": "x"}, )"
    R"("predicted_iou": 0.9, "point_coords": [[2, 3]], "crop_box": [0, 0, 40, 20], "id": 83, )"
    R"("stability_score": 0.98}, {"bbox": [0, 0, 40, 20], "id": 84}]})";

TEST(Segments, OfOnePictureAreToldFromOtherObjects) {
  AnnotationFile file;
  file.path = "sa_1.json";
  const Dataset data = read_annotations(std::string_view(kFile), file);
  EXPECT_EQ(data.format, Format::kSegments);
  ASSERT_EQ(data.entries.size(), 1u);
  EXPECT_EQ(data.entries[0].image, "sa_1.jpg");
  EXPECT_EQ(data.entries[0].height, 20);
  ASSERT_EQ(data.annotations.size(), 2u);
  EXPECT_EQ(data.annotations[0].bbox, (XywhBox{1, 2, 3.5, 4}));
  EXPECT_EQ(data.annotations[0].area, 9);
  EXPECT_EQ(data.annotations[1].area, 800);
}

TEST(Segments, OfAFolderComeInTheOrderOfItsNames) {
  const testing::TemporaryFolder folder;
  AnnotationFile file;
  file.path = folder.path().string();
  EXPECT_TRUE(holds(message_of([&] { read_annotations(file); }), "holds no .json"));
  std::filesystem::create_directories(folder.path().string() + "/sa_000001");
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream(folder.path().string() + "/" + name) << text;
  };
  write("sa_000001/sa_9.json", kFile);
  write("sa_1.json", kFile);
  write("sa_1.jpg", "no picture");
  const Dataset data = read_annotations(file);
  ASSERT_EQ(data.entries.size(), 2u);
  EXPECT_EQ(data.entries[0].label(), "sa_000001/sa_9.json");
  EXPECT_EQ(data.entries[0].image, "sa_000001/sa_1.jpg");
  EXPECT_EQ(data.entries[1].image, "sa_1.jpg");
  EXPECT_EQ(data.annotations[3].entry, 1u);

  write("sa_2.json", R"({"image": {"file_name": "a.jpg"}})");
  EXPECT_TRUE(holds(message_of([&] { read_annotations(file); }), "sa_2.json': no 'annotations'"));
  write("sa_2.json", R"({"annotations": []})");
  EXPECT_TRUE(holds(message_of([&] { read_annotations(file); }), "sa_2.json': no 'image'"));
  write("sa_2.json", R"({"image": {"file_name": "a"}, "annotations": [{"bbox": [0, 0, -1, 2]}]})");
  EXPECT_TRUE(holds(message_of([&] { read_annotations(file); }),
                    "sa_2.json': annotations[0].bbox: found width -1"));
  file.format = Format::kCoco;
  EXPECT_TRUE(holds(message_of([&] { read_annotations(file); }), "is a folder, expected a file"));
}

}  // namespace
}  // namespace groma::eval
