#include "groma/mask.h"

#include <gtest/gtest.h>

#include "folders.h"
#include "groma/error.h"

namespace groma {
namespace {

Mask empty(int width, int height) {
  return {width, height, std::vector<std::uint8_t>(static_cast<std::size_t>(width) * height)};
}

void fill(Mask& mask, int x1, int y1, int x2, int y2) {
  for (int y = y1; y < y2; ++y) {
    for (int x = x1; x < x2; ++x) mask.inside[static_cast<std::size_t>(y) * mask.width + x] = 1;
  }
}

TEST(Mask, BoxAndOutlineRunAlongThePixelsEdges) {
  auto mask = empty(30, 20);
  fill(mask, 5, 6, 15, 12);
  EXPECT_EQ(tight_box(mask), (Box{5, 6, 15, 12}));
  EXPECT_EQ(area_of(mask), 60);
  const auto outlines = outlines_of(mask);
  ASSERT_EQ(outlines.size(), 1u);
  for (const auto& corner : outlines[0]) {
    EXPECT_TRUE(corner.x == 5 || corner.x == 15) << corner.x;
    EXPECT_TRUE(corner.y == 6 || corner.y == 12) << corner.y;
  }
}

TEST(Mask, OutlineOfAStaircaseRepeatsNoCorner) {
  auto mask = empty(30, 20);
  for (int step = 0; step < 8; ++step) fill(mask, 4 + 2 * step, 3 + step, 25, 4 + step);
  const auto outline = outlines_of(mask).at(0);
  for (std::size_t i = 0; i < outline.size(); ++i) {
    const auto &a = outline[i], &b = outline[(i + 1) % outline.size()];
    EXPECT_TRUE(a.x != b.x || a.y != b.y) << "corner " << i << ": " << a.x << ", " << a.y;
  }
}

TEST(Mask, RunsAreThoseOfPycocotools) {
  auto mask = empty(4, 3);
  fill(mask, 1, 1, 3, 3);
  EXPECT_EQ(to_coco_rle(mask), "42102");  // encode() of the same array
  EXPECT_EQ(to_coco_rle(empty(4, 3)), "<");
  auto wide = empty(300, 200);
  fill(wide, 40, 30, 250, 180);
  EXPECT_EQ(to_coco_rle(wide).substr(0, 9), "nj7f4b100");
}

TEST(Mask, PictureOfAnotherSizeOrAllBlackIsRefused) {
  const testing::TemporaryFolder folder;
  const auto file = (folder.path() / "mask.png").string();
  std::vector<std::uint8_t> rgb(30 * 20 * 3);
  Image::from_rgb(rgb.data(), 30, 20).save(file);
  EXPECT_THROW(read_mask(file, 30, 20), Error);
  rgb[3 * 31] = 9;
  Image::from_rgb(rgb.data(), 30, 20).save(file);
  EXPECT_EQ(tight_box(read_mask(file, 30, 20)), (Box{1, 1, 2, 2}));
  EXPECT_THROW(read_mask(file, 20, 30), Error);
}

TEST(Segment, FindsWhatDiffersFromItsGround) {
  std::vector<std::uint8_t> rgb(120 * 100 * 3, 40);
  auto truth = empty(120, 100);
  for (int y = 0; y < 100; ++y) {
    for (int x = 0; x < 120; ++x) {
      const bool inside = (x - 60) * (x - 60) + (y - 50) * (y - 50) < 30 * 30;
      const auto at = static_cast<std::size_t>(y) * 120 + x;
      truth.inside[at] = inside;
      for (int c = 0; c < 3; ++c) rgb[3 * at + c] += static_cast<std::uint8_t>((x * 7 + y * 3) % 9);
      if (inside) rgb[3 * at] = 200;
    }
  }
  const auto image = Image::from_rgb(rgb.data(), 120, 100);
  const auto mask = segment(image, {28, 18, 92, 82});
  std::int64_t both = 0, any = 0;
  for (std::size_t i = 0; i < mask.inside.size(); ++i) {
    both += mask.inside[i] && truth.inside[i];
    any += mask.inside[i] || truth.inside[i];
  }
  EXPECT_GT(static_cast<double>(both) / static_cast<double>(any), 0.95);
  EXPECT_EQ(segment(image, {28, 18, 92, 82}).inside, mask.inside) << "every time the same";
}

TEST(Segment, GivesTheWholeBoxWhereColoursSayNothing) {
  const std::vector<std::uint8_t> rgb(60 * 60 * 3, 128);
  const auto image = Image::from_rgb(rgb.data(), 60, 60);
  EXPECT_EQ(area_of(segment(image, {10, 10, 30, 30})), 400);
  EXPECT_EQ(area_of(segment(image, {0, 0, 60, 60})), 3600);
}

}  // namespace
}  // namespace groma
