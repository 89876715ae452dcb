#include "image/label.h"

#include <gtest/gtest.h>

#include <opencv2/imgproc.hpp>

namespace groma {
namespace {

TEST(Label, TextBecomesPrintableAscii) {
  EXPECT_EQ(to_drawable("a red  cup"), "a red cup");
  EXPECT_EQ(to_drawable("  a\n\tb "), "a b");
  EXPECT_EQ(to_drawable("caf\u00e9 \u00c5ngstr\u00f6m"), "cafe Angstrom");
  EXPECT_EQ(to_drawable("\u201cone\u201d \u2018two\u2019 \u2013 three\u2026"),
            "\"one\" 'two' - three...");
  EXPECT_EQ(to_drawable("\u732b and \U0001F408"), "? and ?");
  EXPECT_EQ(to_drawable("\xff\xc3"), "??");
  EXPECT_EQ(to_drawable(""), "");
}

/// The rectangle of all pixels of one colour.
cv::Rect extent(const cv::Mat& picture, const cv::Scalar& color) {
  cv::Mat found;
  cv::inRange(picture, color, color, found);
  return cv::boundingRect(found);
}

const cv::Scalar kRed(200, 0, 0);
const cv::Scalar kBlue(0, 0, 200);

TEST(Label, StaysInsideThePicture) {
  const cv::Rect frames[] = {
      {0, 0, 10, 10}, {190, 0, 10, 10}, {0, 140, 5, 10}, {195, 145, 5, 5}, {0, 0, 200, 150}};
  for (const cv::Rect& frame : frames) {
    cv::Mat picture(150, 200, CV_8UC3, cv::Scalar(9, 9, 9));
    LabelWriter(picture, 1, 2).write("word", frame, kRed);
    const cv::Rect label = extent(picture, kRed);
    EXPECT_GT(label.area(), 500);
    cv::Mat lone(500, 500, CV_8UC3, cv::Scalar(9, 9, 9));
    LabelWriter(lone, 1, 2).write("word", {200, 200, 100, 100}, kRed);
    EXPECT_EQ(label.size(), extent(lone, kRed).size());  // whole, not cut at the border
  }
}

TEST(Label, KeepsClearOfTheOthers) {
  cv::Mat picture(300, 300, CV_8UC3, cv::Scalar(9, 9, 9));
  LabelWriter writer(picture, 1, 2);
  const cv::Rect frame(100, 100, 120, 120);
  writer.write("first", frame, kRed);
  const cv::Rect first = extent(picture, kRed);
  writer.write("second", frame, kBlue);
  EXPECT_EQ(extent(picture, kRed), first);
  EXPECT_EQ((first & extent(picture, kBlue)).area(), 0);
}

TEST(Label, LongTextIsShortened) {
  cv::Mat picture(100, 640, CV_8UC3, cv::Scalar(9, 9, 9));
  LabelWriter(picture, 1, 2).write(std::string(300, 'm'), {10, 50, 40, 40}, kRed);
  EXPECT_LE(extent(picture, kRed).width, 320);
  EXPECT_GT(extent(picture, kRed).width, 250);
}

TEST(Label, InkContrastsWithItsGround) {
  for (const auto& [ground, ink] : {std::pair{cv::Scalar(240, 228, 66), cv::Scalar(0, 0, 0)},
                                    {cv::Scalar(0, 0, 120), cv::Scalar(255, 255, 255)}}) {
    cv::Mat picture(100, 200, CV_8UC3, cv::Scalar(9, 9, 9));
    LabelWriter(picture, 2, 2).write("ill", {10, 50, 40, 40}, ground);
    EXPECT_GT(extent(picture, ink).area(), 0);
  }
}

}  // namespace
}  // namespace groma
