#include "image/header.h"

#include <gtest/gtest.h>

#include <span>

#include "groma/error.h"
#include "image/files.h"

namespace groma {
namespace {

using testing::big;
using testing::encoded;
using testing::error_of;
using testing::exif_block;
using testing::little;
using testing::png_chunk;
using testing::png_header;
using testing::sample_bgr;
using testing::with_exif;

ImageHeader read(const std::string& file) {
  return read_image_header({reinterpret_cast<const std::uint8_t*>(file.data()), file.size()},
                           "a\nb");
}

std::string error(const std::string& file) {
  return error_of([&] { read(file); });
}

TEST(Header, EveryKindTellsItsSize) {
  const cv::Mat picture = sample_bgr(37, 21);
  const std::pair<std::string, ImageKind> cases[] = {
      {encoded(".jpg", picture), ImageKind::kJpeg},
      {encoded(".jpg", picture, {cv::IMWRITE_JPEG_PROGRESSIVE, 1}), ImageKind::kJpeg},
      {encoded(".png", picture), ImageKind::kPng},
      {encoded(".webp", picture, {cv::IMWRITE_WEBP_QUALITY, 80}), ImageKind::kWebp},
      {encoded(".webp", picture, {cv::IMWRITE_WEBP_QUALITY, 101}), ImageKind::kWebp},
      {encoded(".bmp", picture), ImageKind::kBmp}};
  for (const auto& [file, kind] : cases) {
    const ImageHeader header = read(file);
    EXPECT_EQ(header.kind, kind);
    EXPECT_EQ(header.width, 37);
    EXPECT_EQ(header.height, 21);
    EXPECT_EQ(header.orientation, 1);
  }
}

TEST(Header, TooManyPixelsAreRefusedWithTheFigure) {
  const auto jpeg = [](int width, int height) {
    return "\xFF\xD8\xFF\xC0" + big(17, 2) + big(8, 1) + big(height, 2) + big(width, 2) +
           std::string(10, '\0');
  };
  const std::string expected =
      "open 'a\\x0ab': the picture is 60000 x 60000 pixels, 3600 megapixels, at most 100 are read; "
      "make it smaller";
  EXPECT_EQ(error(jpeg(60000, 60000)), expected);
  EXPECT_EQ(error(png_header(60000, 60000, 8, 2)), expected);
  const std::string bmp = "BM" + std::string(8, '\0') + little(54, 4) + little(40, 4) +
                          little(60000, 4) + little(60000, 4) + little(1, 2) + little(24, 2) +
                          std::string(24, '\0');
  EXPECT_EQ(error(bmp), expected);
  const std::string extended = little(0, 4) + little(59999, 3) + little(59999, 3);
  const std::string webp = "RIFF" + little(22, 4) + "WEBPVP8X" + little(10, 4) + extended;
  EXPECT_EQ(error(webp), expected);

  EXPECT_EQ(read(jpeg(10000, 10000)).width, 10000);
  EXPECT_NE(error(jpeg(10000, 10001)), "");
}

TEST(Header, LongOrEmptySidesAreRefused) {
  EXPECT_EQ(error(png_header(0, 5, 8, 2)),
            "open 'a\\x0ab': the picture is 0 x 5 pixels; both sides must be at least 1");
  EXPECT_EQ(
      error(png_header(65536, 1, 8, 2)),
      "open 'a\\x0ab': the picture is 65536 x 1 pixels, at most 65535 a side are read; make it "
      "smaller");
  EXPECT_NE(error(png_header(0xFFFFFFFF, 0xFFFFFFFF, 8, 2)), "");
}

TEST(Header, OtherFilesAreNamedAsSuch) {
  EXPECT_EQ(error(""), "open 'a\\x0ab': the file is empty; get it again");
  for (const char* text : {"GIF89a........", "%PDF-1.7", "II*", "\xFF\xD8", "RIFF....WAVE", "B"}) {
    EXPECT_EQ(
        error(text),
        "open 'a\\x0ab': not a picture of a known kind (its first bytes are not those of jpeg, "
        "png, webp or bmp); save it as one of these")
        << text;
  }
}

TEST(Header, CutFilesAreNamedAsSuch) {
  const std::string png = encoded(".png", sample_bgr(9, 9));
  EXPECT_EQ(error(png.substr(0, png.size() - 1)),
            "open 'a\\x0ab': the file is cut off, it has " + std::to_string(png.size() - 1) +
                " bytes and goes on at byte " + std::to_string(png.size() - 4) +
                "; get the whole file");
  EXPECT_NE(error(png.substr(0, png.size() - 12)), "");  // no end mark
}

TEST(Header, OrientationOfAllKinds) {
  const std::string jpeg = encoded(".jpg", sample_bgr(8, 6));
  const std::string png = encoded(".png", sample_bgr(8, 6));
  const std::string webp = encoded(".webp", sample_bgr(8, 6), {cv::IMWRITE_WEBP_QUALITY, 101});
  for (int orientation = 1; orientation <= 8; ++orientation) {
    for (const bool little_endian : {false, true}) {
      const std::string block = exif_block(orientation, little_endian);
      EXPECT_EQ(read(with_exif(jpeg, block)).orientation, orientation);

      const std::string chunk = png_chunk("eXIf", block);
      const std::size_t behind_header = 33;
      const std::size_t before_end = png.size() - 12;
      for (const std::size_t at : {behind_header, before_end}) {
        EXPECT_EQ(read(png.substr(0, at) + chunk + png.substr(at)).orientation, orientation);
      }
      const std::string body = webp.substr(12) + "EXIF" + little(block.size(), 4) + block;
      EXPECT_EQ(read("RIFF" + little(body.size() + 4, 4) + "WEBP" + body).orientation, orientation);
    }
  }
}

TEST(Header, DamagedExifCountsAsNone) {
  const std::string jpeg = encoded(".jpg", sample_bgr(8, 6));
  const std::string block = exif_block(6, true);
  EXPECT_EQ(read(with_exif(jpeg, exif_block(0, true))).orientation, 1);
  EXPECT_EQ(read(with_exif(jpeg, exif_block(9, true))).orientation, 1);
  EXPECT_EQ(read(with_exif(jpeg, "XX" + block.substr(2))).orientation, 1);
  for (std::size_t size = 0; size < 32; ++size) {
    EXPECT_EQ(read(with_exif(jpeg, block.substr(0, size))).orientation, 1) << size;
  }
  std::string far_directory = block;
  far_directory.replace(4, 4, little(0xFFFFFFFF, 4));
  EXPECT_EQ(read(with_exif(jpeg, far_directory)).orientation, 1);
}

TEST(Header, AnimationsAndOddBitmapsAreRefused) {
  const std::string moving = little(2, 4) + little(9, 3) + little(9, 3);
  EXPECT_EQ(error("RIFF" + little(22, 4) + "WEBPVP8X" + little(10, 4) + moving),
            "open 'a\\x0ab': an animation; save one of its pictures by itself");

  std::string bmp = encoded(".bmp", sample_bgr(8, 6));
  bmp[30] = 1;  // run-length encoding
  EXPECT_EQ(
      error(bmp),
      "open 'a\\x0ab': a bmp of 24 bits a pixel and compression 1, which is not supported; save "
      "it as png");
  bmp[14] = 12;  // header of OS/2
  EXPECT_NE(error(bmp).find("a bmp of another kind"), std::string::npos);
}

}  // namespace
}  // namespace groma
