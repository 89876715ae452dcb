#pragma once

#include <vector>

#include "engine.h"

namespace groma {

/// Where the tiles lie: n x n equal parts, each a quarter of its side wider towards its neighbours.
///
/// tiles     0 chooses n so that a part is as large as the network's input, from 1 to 4
/// returns   boxes in whole pixels; empty where the picture is one part
std::vector<Box> tile_boxes(int width, int height, int tiles, int64_t input_side);

/// Adds the proposals of the picture's tiles to those of the whole, as `options.tiles` asks. Boxes
/// that end at an edge inside the picture are left out: they are parts of something.
///
/// throws    Error when `options.tiles` is not from 0 to 8
void see_tiles(const Groma::Impl& engine, const Image& image, const RegionOptions& options,
               SeenImage& seen, Timings& timings);

}  // namespace groma
