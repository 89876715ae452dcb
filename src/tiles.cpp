#include "tiles.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

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

/// Which boxes lie in a tile and keep clear of its edges inside the picture.
///
/// boxes_xyxy  [Q, 4] in [0, 1] of the tile
at::Tensor whole_ones(const at::Tensor& boxes_xyxy, const Box& place) {
  const auto side = [&](int64_t i) { return boxes_xyxy.select(1, i); };
  constexpr double kAnywhere = std::numeric_limits<double>::infinity();
  const auto least = [](bool inside) { return inside ? kNearEdge : -kAnywhere; };
  return (side(0) > least(place.x1 > 0))
      .logical_and(side(1) > least(place.y1 > 0))
      .logical_and(side(2) < 1 - least(place.x2 < 1))
      .logical_and(side(3) < 1 - least(place.y2 < 1));
}

/// Centre and size of a tile's boxes become those of the picture's, and back.
struct Frame {
  Frame(const Box& place, at::TensorOptions options) {
    const float w = place.x2 - place.x1, h = place.y2 - place.y1;
    scale = at::tensor({w, h, w, h}, options.dtype(at::kFloat).device(at::kCPU)).to(options);
    shift = at::tensor({place.x1, place.y1, 0.0f, 0.0f}, at::kFloat).to(options);
  }
  at::Tensor outward(const at::Tensor& boxes_cxcywh) const { return boxes_cxcywh * scale + shift; }
  at::Tensor inward(const at::Tensor& boxes_cxcywh) const { return (boxes_cxcywh - shift) / scale; }
  at::Tensor scale, shift;
};

/// The tile that each box's features come from, -1 for the whole picture: [R] int64.
at::Tensor tile_of(const std::vector<SeenTile>& tiles, const at::Tensor& boxes_cxcywh) {
  auto best = at::full({boxes_cxcywh.size(0)}, -1, at::kLong).to(boxes_cxcywh.device());
  auto least = at::ones({boxes_cxcywh.size(0)}, boxes_cxcywh.options());
  for (size_t t = 0; t < tiles.size(); ++t) {
    const auto local = Frame(tiles[t].place, boxes_cxcywh.options()).inward(boxes_cxcywh);
    const auto off = std::get<0>((local.narrow(1, 0, 2) - 0.5).abs().max(1));
    const auto better = whole_ones(cxcywh_to_xyxy(local), tiles[t].place).logical_and(off < least);
    best.masked_fill_(better, static_cast<int64_t>(t));
    least = at::where(better, off, least);
  }
  return best;
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

std::vector<SeenTile> see_tiles(const Groma::Impl& engine, const Image& image,
                                const RegionOptions& options, SeenImage& seen, Timings& timings) {
  require(options.tiles >= 0 && options.tiles <= kMostTiles, "regions: tiles is ", options.tiles,
          "; give 0 (as fits the picture) or 1 to ", kMostTiles, " a side");
  require(options.tiles != 1 || !options.tile_features,
          "regions: tile_features without tiles; set tiles too, or leave both");
  const auto w = static_cast<float>(image.width()), h = static_cast<float>(image.height());
  std::vector<at::Tensor> boxes = {seen.boxes_cxcywh}, scores = {seen.scores};
  std::vector<SeenTile> tiles;
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
    const Box place = {tile.x1 / w, tile.y1 / h, tile.x2 / w, tile.y2 / h};
    const auto kept = whole_ones(cxcywh_to_xyxy(found.boxes_cxcywh), place).nonzero().squeeze(1);
    const auto own = found.boxes_cxcywh.index_select(0, kept);
    boxes.push_back(Frame(place, own.options()).outward(own));
    scores.push_back(found.scores.index_select(0, kept));
    if (options.tile_features) tiles.push_back({place, found.hidden});
  }
  seen.boxes_cxcywh = at::cat(boxes);
  seen.scores = at::cat(scores);
  return tiles;
}

at::Tensor region_tokens(GromaModelImpl& model, const std::vector<at::Tensor>& maps,
                         const std::vector<SeenTile>& tiles, const at::Tensor& boxes_cxcywh) {
  if (tiles.empty()) return model.region_tokens(maps, boxes_cxcywh);
  const auto from = tile_of(tiles, boxes_cxcywh);
  at::Tensor tokens;
  for (int64_t t = -1; t < static_cast<int64_t>(tiles.size()); ++t) {
    const auto rows = from.eq(t).nonzero().squeeze(1);
    if (rows.numel() == 0) continue;
    const auto boxes = boxes_cxcywh.index_select(0, rows);
    const auto some =
        t < 0 ? model.region_tokens(maps, boxes)
              : model.region_tokens(model.fuse_maps(tiles[t].hidden),
                                    Frame(tiles[t].place, boxes.options()).inward(boxes), boxes);
    if (!tokens.defined()) tokens = at::empty({boxes_cxcywh.size(0), some.size(1)}, some.options());
    tokens.index_copy_(0, rows, some);
  }
  return tokens;
}

}  // namespace groma
