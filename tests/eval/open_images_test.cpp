// Open Images: rows of CSV, whose boxes are parts of a picture's sides.

#include <gtest/gtest.h>

#include <fstream>

#include "eval/annotations.h"
#include "folders.h"
#include "io/message.h"

namespace groma::eval {
namespace {

using testing::holds;
using testing::message_of;

const std::string kHeader =
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,"
    "IsDepiction,IsInside\n";
const std::string kRows =
    "0a,xclick,/m/01,1,0.125,0.5,0.25,0.75,0,0,0,0,0\r\n"
    "0a,xclick,/m/02,1,0,1,0,1,0,1,1,0,0\n"
    "0b,activation,/m/01,0.5,0.5,0.5625,0,1,-1,-1,-1,-1,-1\n"
    "\n"
    "0a,xclick,/m/03,1,0.5,0.75,0.5,1,0,0,0,0,0";

Dataset read(const std::string& text, const std::string& path = "boxes.csv") {
  AnnotationFile file;
  file.path = path;
  file.allow_fractions = true;
  return read_annotations(text, file);
}

TEST(OpenImages, RowsBecomeBoxesOfTheirPictures) {
  const testing::TemporaryFolder folder;
  std::ofstream(folder.path().string() + "/class-descriptions-boxable.csv")
      << "/m/01,Traffic light\n/m/02,\"Tea, green\"\n";
  const Dataset data = read(kHeader + kRows, folder.path().string() + "/boxes.csv");
  EXPECT_EQ(data.format, Format::kOpenImages);
  EXPECT_TRUE(data.fractions);
  ASSERT_EQ(data.entries.size(), 2u);
  EXPECT_EQ(data.entries[0].label(), "0a");
  EXPECT_EQ(data.entries[1].image, "0b.jpg");
  ASSERT_EQ(data.annotations.size(), 4u);
  EXPECT_EQ(data.annotations[0].bbox, (XywhBox{0.125, 0.25, 0.375, 0.5}));
  EXPECT_EQ(data.annotations[0].id, 2);  // its line
  EXPECT_EQ(data.annotations[3].entry, 0u);
  EXPECT_EQ(data.categories[0].name, "Traffic light");
  EXPECT_EQ(data.categories[1].name, "Tea, green");
  EXPECT_EQ(data.categories[2].name, "");
  EXPECT_FALSE(data.annotations[0].crowd || data.annotations[0].ignore);
  EXPECT_TRUE(data.annotations[1].crowd);
  EXPECT_TRUE(data.annotations[2].ignore);
  ASSERT_EQ(data.warnings.size(), 2u);
  EXPECT_TRUE(holds(data.warnings[0], "1 boxes of groups (IsGroupOf) left out"));
  EXPECT_TRUE(holds(data.warnings[1], "1 boxes of machines (Confidence below 1) left out"));
}

TEST(OpenImages, BoxesWithoutNamesAreSaidToBeSo) {
  const Dataset data = read(kHeader + "0a,xclick,/m/01,1,0,1,0,1,0,0,0,0,0\n");
  EXPECT_EQ(data.categories[0].name, "");
  ASSERT_EQ(data.warnings.size(), 1u);
  EXPECT_TRUE(holds(data.warnings[0], "no 'class-descriptions-boxable.csv'"));
}

TEST(OpenImages, PartsOfSidesAreNotTakenForPixels) {
  AnnotationFile file;
  file.path = "boxes.csv";
  EXPECT_TRUE(holds(message_of([&] { read_annotations(kHeader + kRows, file); }),
                    "boxes in parts of pictures"));
}

TEST(OpenImages, MistakesNameTheLine) {
  const auto refusal = [](const std::string& rows) {
    return message_of([&] { read(kHeader + rows); });
  };
  EXPECT_TRUE(holds(message_of([] { read("ImageID,Source,LabelName\n"); }),
                    "read 'boxes.csv': line 1: no column 'Confidence'"));
  EXPECT_TRUE(
      holds(refusal("0a,xclick,/m/01,1,0,1,0\n"), "line 2: found 7 fields, the header has 13"));
  const std::string good = "0a,x,/m/01,1,0,1,0,1,0,0,0,0,0\n";
  EXPECT_TRUE(holds(refusal(good + "0a,x,/m/01,1,0,one,0,1,0,0,0,0,0\n"),
                    "line 3: XMax: found 'one', expected a number"));
  EXPECT_TRUE(holds(refusal("0a,x,/m/01,1,0,nan,0,1,0,0,0,0,0\n"), "XMax: found 'nan'"));
  EXPECT_TRUE(holds(refusal("0a,x,/m/01,,0,1,0,1,0,0,0,0,0\n"), "Confidence: found ''"));
  EXPECT_TRUE(holds(refusal("0a,x,/m/01,1,0.5,0.25,0,1,0,0,0,0,0\n"), "expected XMin <= XMax"));
  EXPECT_TRUE(
      holds(refusal("0a,x,/m/01,1,-1e308,1e308,0,1,0,0,0,0,0\n"), "found a box of width inf"));
  EXPECT_TRUE(holds(refusal(",x,/m/01,1,0,1,0,1,0,0,0,0,0\n"), "line 2: ImageID: found nothing"));
  EXPECT_TRUE(holds(refusal(""), "the list is empty"));
}

}  // namespace
}  // namespace groma::eval
