#pragma once

#include <vector>

#include "engine.h"

namespace groma {

/// Where the tiles lie: n x n equal parts, each a quarter of its side wider towards its neighbours.
///
/// tiles     0 chooses n so that a part is as large as the network's input, from 1 to 4
/// returns   boxes in whole pixels; empty where the picture is one part
std::vector<Box> tile_boxes(int width, int height, int tiles, int64_t input_side);

/// What the network saw in one tile.
struct SeenTile {
  Box place;                       ///< xyxy in [0, 1] of the picture
  std::vector<at::Tensor> hidden;  ///< as in SeenImage
};

/// Adds the proposals of the picture's tiles to those of the whole, as `options.tiles` asks. Boxes
/// that end at an edge inside the picture are left out: they are parts of something.
///
/// returns   the tiles where `options.tile_features` asks for them, else nothing
/// throws    Error when `options.tiles` is not from 0 to 8
std::vector<SeenTile> see_tiles(const Groma::Impl& engine, const Image& image,
                                const RegionOptions& options, SeenImage& seen, Timings& timings);

/// Region tokens, each from the tile that shows its box whole, the nearest to the tile's middle;
/// from the whole picture where no tile does.
///
/// maps          of the whole picture
/// boxes_cxcywh  [R, 4] in [0, 1] of the picture
/// returns       [R, H]
at::Tensor region_tokens(GromaModelImpl& model, const std::vector<at::Tensor>& maps,
                         const std::vector<SeenTile>& tiles, const at::Tensor& boxes_cxcywh);

}  // namespace groma
