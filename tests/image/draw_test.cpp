#include "image/draw.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <vector>

#include "image/files.h"

namespace groma {
namespace {

using testing::pixel;
using Pixel = std::vector<int>;

const Pixel kOrange = {230, 159, 0};
const Pixel kSky = {86, 180, 233};
const Pixel kPink = {255, 0, 160};

Image gray(int width, int height) {
  const std::vector<std::uint8_t> rgb(std::size_t{3} * width * height, 90);
  return Image::from_rgb(rgb.data(), width, height);
}

Phrase phrase(const std::string& text, const std::vector<std::pair<int, Box>>& boxes) {
  Phrase made;
  made.text = text;
  for (const auto& [number, box] : boxes) {
    NamedRegion named;
    named.region = number;
    named.box = box;
    made.regions.push_back(named);
  }
  return made;
}

int count(const Image& image, const Pixel& color) {
  int pixels = 0;
  for (int y = 0; y < image.height(); ++y) {
    for (int x = 0; x < image.width(); ++x) pixels += pixel(image, x, y) == color;
  }
  return pixels;
}

TEST(Draw, BoxesOfAPhraseShareAColour) {
  ChatResult answer;
  answer.phrases = {phrase("cups", {{0, {50, 60, 150, 160}}, {1, {300, 60, 400, 160}}}),
                    phrase("no box", {}), phrase("spoon", {{2, {200, 300, 300, 400}}})};
  const Image drawn = draw_answer(gray(640, 480), answer);
  EXPECT_EQ(drawn.width(), 640);
  EXPECT_EQ(drawn.height(), 480);
  EXPECT_EQ(pixel(drawn, 50, 110), kOrange);
  EXPECT_EQ(pixel(drawn, 100, 160), kOrange);
  EXPECT_EQ(pixel(drawn, 400, 110), kOrange);
  EXPECT_EQ(pixel(drawn, 200, 350), kSky);
  EXPECT_EQ(pixel(drawn, 100, 110), (Pixel{90, 90, 90}));  // nothing inside
}

TEST(Draw, WordsSaidTwiceKeepTheirColour) {
  ChatResult answer;
  answer.phrases = {phrase("a cat", {{0, {50, 60, 150, 160}}}),
                    phrase("a dog", {{1, {200, 60, 300, 160}}}),
                    phrase("a cat", {{0, {50, 60, 150, 160}}, {2, {400, 60, 500, 160}}})};
  const Image drawn = draw_answer(gray(640, 480), answer);
  EXPECT_EQ(pixel(drawn, 400, 110), kOrange);
  EXPECT_EQ(pixel(drawn, 56, 110), (Pixel{90, 90, 90}));  // the same box is drawn once
}

TEST(Draw, PhrasesOfOneRegionAreNested) {
  ChatResult answer;
  answer.phrases = {phrase("a cup", {{0, {50, 60, 250, 260}}}),
                    phrase("my cup", {{0, {50, 60, 250, 260}}})};
  const Image drawn = draw_answer(gray(640, 480), answer);
  EXPECT_EQ(pixel(drawn, 50, 200), kOrange);
  EXPECT_EQ(pixel(drawn, 56, 200), kSky);
}

TEST(Draw, RegionsWithoutWordsAreTellable) {
  ChatResult answer;
  answer.phrases = {phrase("", {{7, {50, 60, 150, 160}}})};
  ChatResult other = answer;
  other.phrases[0].regions[0].region = 8;
  const Image a = draw_answer(gray(320, 240), answer), b = draw_answer(gray(320, 240), other);
  bool differ = false;
  for (int i = 0; i < 320 * 240 * 3; ++i) differ |= a.data()[i] != b.data()[i];
  EXPECT_TRUE(differ);  // the numbers
}

TEST(Draw, GivenRegionsStandOut) {
  std::vector<Region> regions(2);
  regions[0] = {{50, 60, 150, 160}, 0.9f, false};
  regions[1] = {{50, 60, 150, 160}, 1.0f, true};
  const Image drawn = draw_regions(gray(640, 480), regions);
  EXPECT_EQ(pixel(drawn, 50, 110), kPink);
  EXPECT_GT(count(drawn, kOrange), 100);  // the label of the other is still seen
}

TEST(Draw, AnyBoxAndAnySizeIsSafe) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<Box> boxes = {
      {0, 0, 0, 0},        {-50, -50, 5000, 5000},        {10, 10, 5, 5},
      {NAN, 1, NAN, 7},    {-kInfinity, 0, kInfinity, 3}, {900, 900, 950, 950},
      {1e30f, 0, 2e30f, 9}};
  for (const auto& [width, height] :
       {std::pair{1, 1}, {2, 300}, {300, 2}, {31, 17}, {2000, 1500}}) {
    ChatResult answer;
    std::vector<Region> regions;
    for (const Box& box : boxes) {
      answer.phrases.push_back(phrase("a long phrase \u732b", {{0, box}, {1, box}}));
      regions.push_back({box, NAN, regions.size() % 2 == 0});
    }
    EXPECT_EQ(draw_answer(gray(width, height), answer).width(), width);
    EXPECT_EQ(draw_regions(gray(width, height), regions).height(), height);
  }
}

TEST(Draw, SmallPicturesCanBeEnlargedForTheirLabels) {
  EXPECT_EQ(drawing_scale(gray(1, 448)), 1);
  EXPECT_EQ(drawing_scale(gray(447, 10)), 2);
  const Image small = gray(224, 224);
  ChatResult answer;
  answer.phrases = {phrase("x", {{0, {20, 100, 200, 200}}})};
  const Image drawn = draw_answer(small, answer, {}, {}, drawing_scale(small));
  EXPECT_EQ(drawn.width(), 448);
  EXPECT_EQ(pixel(drawn, 40, 300), kOrange) << "the boxes grow with it";
}

TEST(Draw, WhatWasPointedAtStandsOut) {
  const auto plain = draw_answer(gray(640, 480), {});
  const auto pointed = draw_answer(gray(640, 480), {}, {}, {{{50, 60, 150, 160}, ""}});
  EXPECT_EQ(count(plain, kPink), 0);
  EXPECT_GT(count(pointed, kPink), 1000);
}

TEST(Draw, ThumbnailsKeepTheirShape) {
  const auto small = thumbnail(gray(2000, 500), 800);
  EXPECT_EQ(small.width(), 800);
  EXPECT_EQ(small.height(), 200);
  EXPECT_EQ(pixel(small, 799, 199), (Pixel{90, 90, 90}));
  EXPECT_EQ(thumbnail(gray(800, 500), 800).width(), 800);
  EXPECT_EQ(thumbnail(gray(5000, 1), 10).height(), 1);
}

TEST(Draw, LinesGrowWithThePicture) {
  const auto line_width = [](int width, int height) {
    ChatResult answer;
    const float w = static_cast<float>(width), h = static_cast<float>(height);
    answer.phrases = {phrase("x", {{0, {0.2f * w, 0.2f * h, 0.8f * w, 0.8f * h}}})};
    const Image drawn = draw_answer(gray(width, height), answer);
    int pixels = 0;
    for (int x = 0; x < width / 2; ++x) pixels += pixel(drawn, x, height / 2) == kOrange;
    return pixels;
  };
  EXPECT_EQ(line_width(120, 80), 1);
  EXPECT_EQ(line_width(640, 480), 3);
  EXPECT_GT(line_width(4000, 3000), 15);
}

}  // namespace
}  // namespace groma
