#include "tiles.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "check.h"
#include "regions/boxes.h"

namespace groma {
namespace {

constexpr int kMostTiles = 8;
constexpr double kOverlap = 0.25;   // of a part's side, towards each neighbour
constexpr double kNearEdge = 0.02;  // of a tile's side: a box that comes so near is cut off

/// From and to of each part along one side.
std::vector<std::pair<int, int>> parts(int length, int count) {
  std::vector<std::pair<int, int>> list;
  const double part = static_cast<double>(length) / count;
  for (int i = 0; i < count; ++i) {
    const auto from = std::lround(std::max(0.0, (i - kOverlap) * part));
    const auto to = std::lround(std::min<double>(length, (i + 1 + kOverlap) * part));
    list.push_back({static_cast<int>(from), static_cast<int>(to)});
  }
  return list;
}

/// Which boxes of a tile keep clear of its edges inside the picture.   boxes [Q, 4] xyxy in [0, 1]
at::Tensor whole_ones(const at::Tensor& boxes_xyxy, const Box& tile, int width, int height) {
  auto whole = at::ones({boxes_xyxy.size(0)}, boxes_xyxy.options().dtype(at::kBool));
  const auto side = [&](int64_t i) { return boxes_xyxy.select(1, i); };
  if (tile.x1 > 0) whole = whole.logical_and(side(0) > kNearEdge);
  if (tile.y1 > 0) whole = whole.logical_and(side(1) > kNearEdge);
  if (tile.x2 < static_cast<float>(width)) whole = whole.logical_and(side(2) < 1 - kNearEdge);
  if (tile.y2 < static_cast<float>(height)) whole = whole.logical_and(side(3) < 1 - kNearEdge);
  return whole;
}

}  // namespace

std::vector<Box> tile_boxes(int width, int height, int tiles, int64_t input_side) {
  if (tiles == 0) {
    const double ratio = std::max(width, height) / static_cast<double>(input_side);
    tiles = std::clamp(static_cast<int>(std::ceil(ratio)), 1, 4);
  }
  tiles = std::min({tiles, width, height});
  std::vector<Box> list;
  if (tiles == 1) return list;
  for (const auto& [top, bottom] : parts(height, tiles)) {
    for (const auto& [left, right] : parts(width, tiles)) {
      list.push_back({static_cast<float>(left), static_cast<float>(top), static_cast<float>(right),
                      static_cast<float>(bottom)});
    }
  }
  return list;
}

void see_tiles(const Groma::Impl& engine, const Image& image, const RegionOptions& options,
               SeenImage& seen, Timings& timings) {
  require(options.tiles >= 0 && options.tiles <= kMostTiles, "regions: tiles is ", options.tiles,
          "; give 0 (as fits the picture) or 1 to ", kMostTiles, " a side");
  const auto w = static_cast<double>(image.width()), h = static_cast<double>(image.height());
  std::vector<at::Tensor> boxes = {seen.boxes_cxcywh}, scores = {seen.scores};
  for (const auto& tile : tile_boxes(image.width(), image.height(), options.tiles,
                                     engine.model->config.vision.image_size)) {
    const int x = static_cast<int>(tile.x1), y = static_cast<int>(tile.y1);
    const int width = static_cast<int>(tile.x2) - x, height = static_cast<int>(tile.y2) - y;
    const auto stride = std::size_t{3} * static_cast<std::size_t>(image.width());
    const auto part =
        Image::from_rgb(image.data() + static_cast<std::size_t>(y) * stride + std::size_t{3} * x,
                        width, height, stride);
    const auto found =
        see_picture(engine, network_picture(engine, part, options.resize, timings), timings);
    const auto whole =
        whole_ones(cxcywh_to_xyxy(found.boxes_cxcywh), tile, image.width(), image.height());
    const auto kept = whole.nonzero().squeeze(1);
    const auto scale = at::tensor({width / w, height / h, width / w, height / h}, at::kFloat);
    const auto shift = at::tensor({x / w, y / h, 0.0, 0.0}, at::kFloat);
    const auto own = found.boxes_cxcywh.index_select(0, kept);
    boxes.push_back(own * scale.to(own.options()) + shift.to(own.options()));
    scores.push_back(found.scores.index_select(0, kept));
  }
  seen.boxes_cxcywh = at::cat(boxes);
  seen.scores = at::cat(scores);
}

}  // namespace groma
