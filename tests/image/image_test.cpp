#include "groma/image.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <opencv2/core.hpp>

#include "folders.h"
#include "groma/error.h"
#include "image/files.h"

namespace groma {
namespace {

using testing::decode;
using testing::encoded;
using testing::error_of;
using testing::exif_block;
using testing::pixel;
using testing::sample_bgr;
using testing::with_exif;

const std::string kPhoto = std::string(GROMA_SOURCE_DIR) + "/tests/data/photo.jpg";

bool same_pixels(const Image& a, const Image& b) {
  return a.width() == b.width() && a.height() == b.height() &&
         std::memcmp(a.data(), b.data(), std::size_t{3} * a.width() * a.height()) == 0;
}

/// Four fields of one colour each: red, green / blue, white.
Image four_fields() {
  const std::uint8_t colors[4][3] = {{255, 0, 0}, {0, 255, 0}, {0, 0, 255}, {255, 255, 255}};
  std::vector<std::uint8_t> rgb;
  for (int y = 0; y < 32; ++y) {
    for (int x = 0; x < 48; ++x) {
      const auto& color = colors[y / 16 * 2 + x / 24];
      rgb.insert(rgb.end(), color, color + 3);
    }
  }
  return Image::from_rgb(rgb.data(), 48, 32);
}

std::string file_of(const Image& image, const std::string& extension) {
  cv::Mat bgr(image.height(), image.width(), CV_8UC3);
  for (int i = 0; i < image.width() * image.height(); ++i) {
    for (int c = 0; c < 3; ++c) bgr.data[3 * i + c] = image.data()[3 * i + 2 - c];
  }
  return encoded(extension, bgr);
}

TEST(Image, OpensAPhotograph) {
  const Image photo = Image::open(kPhoto);
  EXPECT_EQ(photo.width(), 600);
  EXPECT_EQ(photo.height(), 400);
  const auto wood = pixel(photo, 20, 380);
  EXPECT_GT(wood[0], wood[2]);  // red and blue are not swapped
}

TEST(Image, FromRgbCopiesRowsWithStride) {
  const std::vector<std::uint8_t> rows = {1, 2, 3, 4, 5, 6, 99, 7, 8, 9, 10, 11, 12, 99};
  const Image image = Image::from_rgb(rows.data(), 2, 2, 7);
  EXPECT_EQ(pixel(image, 1, 0), (std::vector<int>{4, 5, 6}));
  EXPECT_EQ(pixel(image, 0, 1), (std::vector<int>{7, 8, 9}));
  EXPECT_NE(error_of([&] { Image::from_rgb(rows.data(), 2, 2, 5); }), "");
  EXPECT_NE(error_of([&] { Image::from_rgb(rows.data(), 0, 2); }), "");
  EXPECT_NE(error_of([&] { Image::from_rgb(rows.data(), 20000, 20000); }), "");
  EXPECT_NE(error_of([&] { Image::from_rgb(nullptr, 2, 2); }), "");
}

TEST(Image, AllOrientationsAreApplied) {
  // Where the red, green, blue and white field of the stored picture are shown: the letters row by
  // row (EXIF 2.32, table of tag 0x0112).
  const char* shown[] = {"RGBW", "GRWB", "WBGR", "BWRG", "RBGW", "BRWG", "WGBR", "GWRB"};
  const std::map<char, std::vector<int>> colors = {
      {'R', {255, 0, 0}}, {'G', {0, 255, 0}}, {'B', {0, 0, 255}}, {'W', {255, 255, 255}}};
  const std::string jpeg = file_of(four_fields(), ".jpg");
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const Image image = decode(with_exif(jpeg, exif_block(orientation, orientation % 2 == 0)));
    const bool turned = orientation >= 5;
    ASSERT_EQ(image.width(), turned ? 32 : 48) << orientation;
    ASSERT_EQ(image.height(), turned ? 48 : 32) << orientation;
    for (int field = 0; field < 4; ++field) {
      const int x = image.width() * (1 + 2 * (field % 2)) / 4;
      const int y = image.height() * (1 + 2 * (field / 2)) / 4;
      const auto& expected = colors.at(shown[orientation - 1][field]);
      const auto found = pixel(image, x, y);
      for (int c = 0; c < 3; ++c) {
        EXPECT_NEAR(found[c], expected[c], 3)
            << "orientation " << orientation << " field " << field;
      }
    }
  }
}

TEST(Image, SavedFilesComeBack) {
  const testing::TemporaryFolder folder;
  const Image photo = Image::open(kPhoto);
  for (const char* name : {"a.png", "b.PNG"}) {
    const auto path = (folder.path() / name).string();
    photo.save(path);
    EXPECT_TRUE(same_pixels(photo, Image::open(path))) << name;
  }
  for (const char* name : {"a.jpg", "b.jpeg", "c.webp"}) {
    const auto path = (folder.path() / name).string();
    photo.save(path);
    const Image back = Image::open(path);
    double difference = 0;
    for (int i = 0; i < 600 * 400 * 3; ++i)
      difference += std::abs(photo.data()[i] - back.data()[i]);
    EXPECT_LT(difference / (600 * 400 * 3), 3) << name;  // levels, mean
    EXPECT_GT(difference, 0) << name;
  }
}

TEST(Image, SavingReplacesAFileAndLeavesNothingElse) {
  const testing::TemporaryFolder folder;
  const auto path = (folder.path() / "a.png").string();
  std::ofstream(path) << "old";
  four_fields().save(path);
  EXPECT_TRUE(same_pixels(four_fields(), Image::open(path)));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(Image, SavingWhereItCannotBeLeavesNothing) {
  const testing::TemporaryFolder folder;
  const Image image = four_fields();
  EXPECT_NE(error_of([&] { image.save((folder.path() / "no/such/a.png").string()); }), "");
  EXPECT_EQ(error_of([&] { image.save("a.gif"); }),
            "write 'a.gif': the extension is '.gif'; use .png, .jpg, .jpeg or .webp");
  const std::vector<std::uint8_t> line(3 * 20000);
  const Image wide = Image::from_rgb(line.data(), 20000, 1);
  const auto path = (folder.path() / "wide.webp").string();
  EXPECT_EQ(error_of([&] { wide.save(path); }),
            "write '" + path +
                "': 20000 x 1 pixels cannot be written as .webp (webp: at most 16383 "
                "a side); use .png");
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Image, MissingFilesAndFoldersAreNamed) {
  EXPECT_NE(error_of([] { Image::open("/no/such/file.png"); }).find("/no/such/file.png"),
            std::string::npos);
  EXPECT_NE(error_of([] { Image::open("/"); }).find("folder"), std::string::npos);
}

TEST(Image, CopiesShareThePixels) {
  const Image image = four_fields();
  const Image copy = image;
  EXPECT_EQ(image.data(), copy.data());
}

}  // namespace
}  // namespace groma
