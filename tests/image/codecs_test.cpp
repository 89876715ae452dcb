#include "image/codecs.h"

#include <gtest/gtest.h>
#include <jpeglib.h>

#include <cstdio>
#include <cstdlib>
#include <opencv2/imgproc.hpp>

#include "groma/error.h"
#include "image/files.h"

namespace groma {
namespace {

using testing::big;
using testing::decode;
using testing::encoded;
using testing::error_of;
using testing::pixel;
using testing::png_chunk;
using testing::png_file;
using testing::sample_bgr;

using Pixel = std::vector<int>;

/// One colour, four inks of 0 (full) to 255 (none), as Adobe's programs write it.
std::string cmyk_jpeg(const std::vector<std::uint8_t>& inks) {
  jpeg_compress_struct jpeg = {};
  jpeg_error_mgr errors = {};
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &bytes, &size);
  jpeg.image_width = jpeg.image_height = 8;
  jpeg.input_components = 4;
  jpeg.in_color_space = JCS_CMYK;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, 100, TRUE);
  jpeg_start_compress(&jpeg, TRUE);
  std::vector<std::uint8_t> row;
  for (int x = 0; x < 8; ++x) row.insert(row.end(), inks.begin(), inks.end());
  JSAMPROW rows[] = {row.data()};
  while (jpeg.next_scanline < jpeg.image_height) jpeg_write_scanlines(&jpeg, rows, 1);
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  const std::string file(reinterpret_cast<char*>(bytes), size);
  std::free(bytes);
  return file;
}

TEST(Codecs, LosslessFilesGiveTheirPixels) {
  const cv::Mat bgr = sample_bgr(23, 17);
  for (const std::string& file : {encoded(".png", bgr), encoded(".bmp", bgr),
                                  encoded(".webp", bgr, {cv::IMWRITE_WEBP_QUALITY, 101})}) {
    const Image image = decode(file);
    for (int y = 0; y < bgr.rows; ++y) {
      for (int x = 0; x < bgr.cols; ++x) {
        const auto& p = bgr.at<cv::Vec3b>(y, x);
        ASSERT_EQ(pixel(image, x, y), (Pixel{p[2], p[1], p[0]})) << x << ' ' << y;
      }
    }
  }
}

TEST(Codecs, AlphaIsDroppedNotBlended) {
  const cv::Mat half_clear(4, 4, CV_8UC4, cv::Scalar(30, 20, 10, 128));
  for (const char* extension : {".png", ".webp"}) {
    const Image image = decode(encoded(extension, half_clear, {cv::IMWRITE_WEBP_QUALITY, 101}));
    EXPECT_EQ(pixel(image, 1, 1), (Pixel{10, 20, 30})) << extension;
  }
  const int gray_alpha = 4;
  EXPECT_EQ(pixel(decode(png_file(1, 1, 8, gray_alpha, std::string("\0\x55\x10", 3))), 0, 0),
            (Pixel{0x55, 0x55, 0x55}));
}

TEST(Codecs, PaletteAndFewBits) {
  const int gray = 0, palette = 3;
  const std::string colors = png_chunk("PLTE", std::string("\x01\x02\x03\xC8\x64\x32", 6));
  const std::string clear = png_chunk("tRNS", std::string("\x00", 1));
  // One byte holds eight pixels of one bit: 0 1 0 0 0 0 0 0.
  const Image indexed =
      decode(png_file(8, 1, 1, palette, std::string("\0\x40", 2), colors + clear));
  EXPECT_EQ(pixel(indexed, 0, 0), (Pixel{1, 2, 3}));
  EXPECT_EQ(pixel(indexed, 1, 0), (Pixel{200, 100, 50}));

  const Image two_bits = decode(png_file(4, 1, 2, gray, std::string("\0\x1B", 2)));  // 0 1 2 3
  EXPECT_EQ(pixel(two_bits, 1, 0), (Pixel{85, 85, 85}));
  EXPECT_EQ(pixel(two_bits, 3, 0), (Pixel{255, 255, 255}));
}

TEST(Codecs, SixteenBitsKeepTheUpperEight) {
  const cv::Mat gray(2, 2, CV_16UC1, cv::Scalar(0xABFF));
  EXPECT_EQ(pixel(decode(encoded(".png", gray)), 1, 1), (Pixel{0xAB, 0xAB, 0xAB}));
  const cv::Mat bgr(2, 2, CV_16UC3, cv::Scalar(0x1234, 0x5678, 0x9ABC));
  EXPECT_EQ(pixel(decode(encoded(".png", bgr)), 0, 1), (Pixel{0x9A, 0x56, 0x12}));
}

TEST(Codecs, GrayJpegBecomesRgb) {
  const cv::Mat gray(16, 16, CV_8UC1, cv::Scalar(77));
  EXPECT_EQ(pixel(decode(encoded(".jpg", gray)), 3, 3), (Pixel{77, 77, 77}));
}

TEST(Codecs, CmykJpegBecomesRgb) {
  // Ink values as Adobe stores them; Pillow 13 gives the same pixels.
  EXPECT_EQ(pixel(decode(cmyk_jpeg({255, 255, 255, 255})), 4, 4), (Pixel{255, 255, 255}));
  EXPECT_EQ(pixel(decode(cmyk_jpeg({200, 100, 50, 255})), 4, 4), (Pixel{200, 100, 50}));
  EXPECT_EQ(pixel(decode(cmyk_jpeg({200, 100, 50, 128})), 4, 4), (Pixel{100, 50, 25}));
}

TEST(Codecs, BitmapsOf32BitsAndFromTheTopDown) {
  const auto bmp = [](int height, const std::string& pixels) {
    using testing::little;
    return "BM" + little(54 + pixels.size(), 4) + little(0, 4) + little(54, 4) + little(40, 4) +
           little(1, 4) + little(static_cast<std::uint32_t>(height), 4) + little(1, 2) +
           little(32, 2) + std::string(24, '\0') + pixels;
  };
  const std::string pixels = {1, 2, 3, 0, 4, 5, 6, 0};
  EXPECT_EQ(pixel(decode(bmp(2, pixels)), 0, 0), (Pixel{6, 5, 4}));
  EXPECT_EQ(pixel(decode(bmp(-2, pixels)), 0, 0), (Pixel{3, 2, 1}));
}

TEST(Codecs, FilesCutAnywhereAreRefusedInSilence) {
  ::testing::internal::CaptureStderr();
  for (const std::string& file : testing::one_of_each_kind()) {
    ASSERT_EQ(error_of([&] { decode(file); }), "");
    for (std::size_t size = 0; size < file.size(); ++size) {
      const std::string error = error_of([&] { decode(file.substr(0, size)); });
      EXPECT_EQ(error.rfind("open 'test': ", 0), 0u) << size << " of " << file.size() << error;
    }
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST(Codecs, DamageAnywhereGivesAPictureOrAnErrorInSilence) {
  ::testing::internal::CaptureStderr();
  int refused = 0;
  for (const std::string& file : testing::one_of_each_kind()) {
    for (std::size_t at = 0; at < file.size(); ++at) {
      for (const char flip : {'\x01', '\x80', '\xFF'}) {
        std::string damaged = file;
        damaged[at] = static_cast<char>(damaged[at] ^ flip);
        refused += !error_of([&] { decode(damaged); }).empty();
      }
    }
  }
  EXPECT_GT(refused, 1000);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST(Codecs, JpegWithALostPieceIsRefused) {
  const std::string jpeg = encoded(".jpg", sample_bgr(200, 200));
  std::string short_scan = jpeg;
  short_scan.erase(jpeg.size() / 2, jpeg.size() / 4);  // its end mark is still there
  EXPECT_NE(error_of([&] { decode(short_scan); }).find("the jpeg is damaged or cut off"),
            std::string::npos);
}

TEST(Codecs, DamagedPngDataAreFoundByTheirCheckSum) {
  std::string png = png_file(1, 1, 8, 0, std::string("\0\x55", 2));
  const std::size_t sample = png.find("IDAT") + 4 + 8;
  ASSERT_EQ(png[sample], '\x55');
  png[sample] = '\x56';
  EXPECT_EQ(error_of([&] { decode(png); }).rfind("open 'test': the png is damaged (IDAT: ", 0), 0u);
  EXPECT_NE(error_of([&] { decode(testing::png_header(3, 3, 8, 2) + png_chunk("IEND", "")); }), "");
}

TEST(Codecs, JpegOfEndlesslyManyScansIsRefused) {
  const std::string jpeg = encoded(".jpg", sample_bgr(16, 16), {cv::IMWRITE_JPEG_PROGRESSIVE, 1});
  const std::size_t last_scan = jpeg.rfind("\xFF\xDA");
  const std::string scan = jpeg.substr(last_scan, jpeg.size() - 2 - last_scan);
  std::string bomb = jpeg.substr(0, jpeg.size() - 2);
  for (int i = 0; i < 2000; ++i) bomb += scan;
  bomb += jpeg.substr(jpeg.size() - 2);
  EXPECT_NE(error_of([&] { decode(bomb); }), "");
}

TEST(Codecs, BytesBehindTheEndAreNoHarm) {
  const cv::Mat bgr = sample_bgr(8, 8);
  for (const char* extension : {".jpg", ".png", ".bmp", ".webp"}) {
    EXPECT_EQ(error_of([&] { decode(encoded(extension, bgr) + "more"); }), "") << extension;
  }
}

}  // namespace
}  // namespace groma
