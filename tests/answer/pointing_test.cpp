#include "groma/pointing.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace groma {
namespace {

using Kind = Pointing::Kind;

/// Grey, with a red rectangle from (20, 20) to (60, 50) and a blue one from (120, 20) to (180, 80).
Image picture() {
  std::vector<std::uint8_t> rgb(200 * 100 * 3, 120);
  const auto paint = [&](int x1, int y1, int x2, int y2, int channel) {
    for (int y = y1; y < y2; ++y) {
      for (int x = x1; x < x2; ++x) rgb[3 * (200 * y + x) + channel] = 250;
    }
  };
  paint(20, 20, 60, 50, 0);
  paint(120, 20, 180, 80, 2);
  return Image::from_rgb(rgb.data(), 200, 100);
}

const std::vector<Region> kRegions = {{{0, 0, 200, 100}, 0.9f, false},
                                      {{19, 19, 61, 51}, 0.7f, false},
                                      {{40, 30, 50, 40}, 0.6f, false},
                                      {{120, 20, 180, 80}, 0.8f, false}};

Pointing shape(Kind kind, std::vector<Point> points, std::vector<Point> outside = {}) {
  Pointing pointing;
  pointing.kind = kind;
  pointing.points = std::move(points);
  pointing.outside = std::move(outside);
  return pointing;
}

Pointed find(const Pointing& pointing) { return point_at(pointing, kRegions, picture()); }

std::string message_of(const Pointing& pointing) {
  try {
    find(pointing);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST(Pointing, ClickTakesTheBoxAroundTheSurfaceUnderIt) {
  const auto pointed = find(shape(Kind::kPoints, {{45, 35}}));
  EXPECT_EQ(pointed.candidate, 1) << "neither the small box on it nor the whole picture";
  EXPECT_EQ(pointed.box, kRegions[1].box);
  EXPECT_EQ(pointed.next.size(), 2u);
  float all = pointed.fit;
  for (const auto& next : pointed.next) {
    EXPECT_LE(next.fit, pointed.fit);
    all += next.fit;
  }
  EXPECT_NEAR(all, 1, 1e-5);
}

TEST(Pointing, PointsBesideItSpeakAgainstTheirBoxes) {
  EXPECT_EQ(find(shape(Kind::kPoints, {{45, 35}}, {{30, 25}, {55, 45}})).candidate, 2);
}

TEST(Pointing, ClickJustBesideABoxMayMeanIt) {
  const std::vector<Region> regions = {kRegions[3]};
  const auto candidate = [&](float x) {
    return point_at(shape(Kind::kPoints, {{x, 50}}), regions, picture()).candidate;
  };
  EXPECT_EQ(candidate(116.5f), 0) << "2 % of 200 pixels is 4";
  EXPECT_EQ(candidate(115.5f), -1);
}

TEST(Pointing, AllPointsMustBeHeld) {
  EXPECT_EQ(find(shape(Kind::kPoints, {{45, 35}, {150, 50}})).candidate, 0);
}

TEST(Pointing, ScribbleIsTakenByItsWay) {
  EXPECT_EQ(find(shape(Kind::kScribble, {{125, 30}, {170, 30}, {130, 70}})).candidate, 3);
  EXPECT_EQ(find(shape(Kind::kScribble, {{30, 30}, {30, 30}})).candidate, 1) << "of no length";
}

TEST(Pointing, PolygonTakesTheBoxThatOverlapsItsOwn) {
  const auto pointed = find(shape(Kind::kPolygon, {{150, 20}, {180, 50}, {150, 80}, {120, 50}}));
  EXPECT_EQ(pointed.candidate, 3);
  EXPECT_GT(pointed.fit, 0.9f);
}

TEST(Pointing, ShapeThatNothingFitsKeepsItsOwnBox) {
  const auto pointed = find(shape(Kind::kPolygon, {{70, 70}, {100, 70}, {100, 90}, {70, 90}}));
  EXPECT_EQ(pointed.candidate, -1);
  EXPECT_NEAR(pointed.box.x1, 70, 1);
  EXPECT_NEAR(pointed.box.y2, 90, 1);
  const auto click = point_at(shape(Kind::kPoints, {{190, 5}}), {}, picture());
  EXPECT_EQ(click.box, (Box{165, 0, 200, 17.5f}));
}

TEST(Pointing, MaskTakesTheBoxThatOverlapsItsOwn) {
  Pointing pointing;
  pointing.kind = Kind::kMask;
  pointing.mask = {200, 100, std::vector<std::uint8_t>(200 * 100)};
  EXPECT_HAS(message_of(pointing), "the mask is empty");
  for (int y = 20; y < 50; ++y) {
    for (int x = 20; x < 60; ++x) pointing.mask.inside[200 * y + x] = 7;
  }
  EXPECT_EQ(find(pointing).candidate, 1);
  pointing.mask.width = 100;
  EXPECT_HAS(message_of(pointing), "the mask is 100 x 100 pixels, the picture 200 x 100");
}

TEST(Pointing, WhatIsNoShapeIsNamed) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_HAS(message_of(shape(Kind::kPoints, {})), "has no point");
  EXPECT_HAS(message_of(shape(Kind::kPoints, {{201, 5}})),
             "leaves the picture, which is 200 x 100");
  EXPECT_HAS(message_of(shape(Kind::kPoints, {{nan, 5}})), "leaves the picture");
  EXPECT_HAS(message_of(shape(Kind::kPoints, {{5, 5}}, {{5, -1}})), "points beside it");
  EXPECT_HAS(message_of(shape(Kind::kPolygon, {{1, 1}, {5, 5}, {1, 1}})), "2 different corners");
  EXPECT_HAS(message_of(shape(Kind::kPolygon, {{1, 1}, {5, 5}, {9, 9}})), "is a line");
  EXPECT_HAS(message_of(shape(Kind::kPolygon, {{0, 0}, {50, 50}, {50, 0}, {0, 50}})),
             "sides 1 and 3 of the polygon meet");
  EXPECT_HAS(message_of(shape(Kind::kPolygon, {{0, 0}, {50, 60}, {50, 0}, {0, 50}})),
             "sides 1 and 3 of the polygon meet");
}

TEST(Pointing, TenThousandPointsAreTakenMoreAreNot) {
  std::vector<Point> circle;
  for (int i = 0; i < 10'000; ++i) {
    const double angle = i * 2 * 3.14159265358979 / 10'000;
    circle.push_back({static_cast<float>(150 + 25 * std::cos(angle)),
                      static_cast<float>(50 + 25 * std::sin(angle))});
  }
  EXPECT_EQ(find(shape(Kind::kPolygon, circle)).candidate, 3);
  EXPECT_EQ(find(shape(Kind::kPoints, circle)).candidate, 3);
  circle.push_back({1, 1});
  EXPECT_HAS(message_of(shape(Kind::kScribble, circle)), "at most 10000");
}

TEST(Pointing, PolygonCoversItsPixels) {
  const auto mask =
      mask_of(shape(Kind::kPolygon, {{10, 10}, {20, 10}, {20, 30}, {10, 30}}), picture());
  ASSERT_TRUE(mask.has_value());
  EXPECT_NEAR(area_of(*mask), 200, 35);
  EXPECT_TRUE(mask->at(15, 20));
  EXPECT_FALSE(mask->at(25, 20));
}

}  // namespace
}  // namespace groma
