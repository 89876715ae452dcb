#include "ops/winograd_conv.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstring>

#include "ops/quantized_linear/kernels.h"
#include "ops/quantized_linear/quantized_linear.h"
#include "ops/thread_pool.h"

namespace groma::ops {
namespace {

using namespace quantized;

// A part is some tiles and channels: at 1024 inputs each of its 16 products reads 96 KiB of tiles
// and 256 KiB of weights, and its sums take 384 KiB, all in the second cache. A strip's transformed
// tiles, 12 MiB, stay in the third cache while they meet all channels.
constexpr int64_t kTilesOfPart = 4 * kBlockRows, kTilesOfStrip = 8 * kTilesOfPart;
constexpr int64_t kChannelsOfPart = 4 * kPairPanel;
constexpr int64_t kInputsAtOnce = 512;  // of a block of rows, so that it stays in the first cache
constexpr int64_t kTaps = 9;

/// A map's memory, channels last, and where its results go.
struct Map {
  const uint16_t* from;
  uint16_t* to;
  int64_t height, width;
};

/// 2x2 results; row and column of the first.
struct Tile {
  const Map* map;
  int64_t image, row, column;

  /// Where result i begins, of `out` channels a cell; null where it lies beyond the map.
  uint16_t* result(int64_t i, int64_t out) const {
    const auto y = row + i / 2, x = column + i % 2;
    const bool inside = y < map->height && x < map->width;
    return inside ? map->to + ((image * map->height + y) * map->width + x) * out : nullptr;
  }
};

/// The tiles of a map, apart by whether any of the 4x4 cells that one sees holds something.
struct Tiles {
  std::vector<Tile> full, blank;

  void add(const Map& map, int64_t images, int64_t inputs) {
    const std::vector<uint16_t> nothing(static_cast<size_t>(inputs));
    std::vector<uint8_t> holds(static_cast<size_t>(images * map.height * map.width));
    for_each_chunk(images * map.height, at::get_num_threads(), [&](int64_t row) {
      for (auto cell = row * map.width; cell < (row + 1) * map.width; ++cell) {
        holds[static_cast<size_t>(cell)] = std::memcmp(map.from + cell * inputs, nothing.data(),
                                                       nothing.size() * sizeof(uint16_t)) != 0;
      }
    });
    const auto sees = [&](const Tile& tile) {
      for (auto y = std::max<int64_t>(0, tile.row - 1); y < std::min(map.height, tile.row + 3);
           ++y) {
        const auto* row = holds.data() + (tile.image * map.height + y) * map.width;
        if (std::any_of(row + std::max<int64_t>(0, tile.column - 1),
                        row + std::min(map.width, tile.column + 3),
                        [](uint8_t held) { return held != 0; })) {
          return true;
        }
      }
      return false;
    };
    for (int64_t image = 0; image < images; ++image) {
      for (int64_t row = 0; row < map.height; row += 2) {
        for (int64_t column = 0; column < map.width; column += 2) {
          const Tile tile = {&map, image, row, column};
          (sees(tile) ? full : blank).push_back(tile);
        }
      }
    }
  }
};

/// The transformed weight as panels: [16, out / 32, in / 2, 32] words.
class PackedTaps {
 public:
  explicit PackedTaps(const at::Tensor& weight)
      : out(weight.size(0)),
        inputs(weight.size(1)),
        words_(at::empty({kWinogradCells * out * inputs / 2}, at::kInt)) {
    const auto* taps = static_cast<const uint16_t*>(weight.const_data_ptr());
    for_each_chunk(out / kPairPanel, at::get_num_threads(), [&](int64_t i) {
      const auto& kernels = fastest_kernels();
      thread_local std::vector<uint16_t> rows;
      const auto distance = kPairPanel * inputs;
      rows.resize(static_cast<size_t>(kWinogradCells * distance));
      for (int64_t r = 0; r < kPairPanel; ++r) {
        kernels.winograd_weight(taps + (i * kPairPanel + r) * inputs * kTaps, inputs,
                                rows.data() + r * inputs, distance);
      }
      for (int64_t cell = 0; cell < kWinogradCells; ++cell) {
        kernels.pack_rows(rows.data() + cell * distance, inputs, kPairPanel, inputs,
                          words() + offset(cell, i * kPairPanel));
      }
    });
  }

  const uint32_t* panel(int64_t cell, int64_t channel) const {
    return words() + offset(cell, channel);
  }

  int64_t out, inputs;

 private:
  uint32_t* words() const { return static_cast<uint32_t*>(words_.mutable_data_ptr()); }
  int64_t offset(int64_t cell, int64_t channel) const {
    return (cell * out + channel) * inputs / 2;
  }

  at::Tensor words_;
};

/// Tiles transformed for the products: [16, kTilesOfStrip, inputs].
class Strip {
 public:
  const int64_t stride;

  explicit Strip(int64_t inputs)
      : stride(row_distance(inputs)),
        inputs_(inputs),
        nothing_(static_cast<size_t>(inputs)),
        numbers_(at::empty({kWinogradCells * kTilesOfStrip * stride}, at::kBFloat16)) {}

  void transform(const Tile& tile, int64_t place) {
    const auto& map = *tile.map;
    const uint16_t* cells[kWinogradCells];
    for (int64_t i = 0; i < kWinogradCells; ++i) {
      const auto row = tile.row + i / 4 - 1, column = tile.column + i % 4 - 1;
      const bool inside = row >= 0 && row < map.height && column >= 0 && column < map.width;
      cells[i] = inside
                     ? map.from + ((tile.image * map.height + row) * map.width + column) * inputs_
                     : nothing_.data();
    }
    fastest_kernels().winograd_input(cells, inputs_, numbers() + place * stride,
                                     kTilesOfStrip * stride);
  }

  const uint16_t* at(int64_t cell, int64_t place) const {
    return numbers() + (cell * kTilesOfStrip + place) * stride;
  }

 private:
  uint16_t* numbers() const { return static_cast<uint16_t*>(numbers_.mutable_data_ptr()); }

  int64_t inputs_;
  std::vector<uint16_t> nothing_;
  at::Tensor numbers_;
};

void multiply_part(const Strip& strip, const PackedTaps& taps, const Tile* tiles, int64_t first,
                   int64_t count, int64_t first_channel) {
  const auto& kernels = fastest_kernels();
  constexpr int64_t kCellSums = kTilesOfPart * kChannelsOfPart;
  thread_local std::vector<float> sums(kWinogradCells * kCellSums);
  const auto channels = std::min(kChannelsOfPart, taps.out - first_channel);
  for (int64_t cell = 0; cell < kWinogradCells; ++cell) {
    for (int64_t from = 0; from < taps.inputs; from += kInputsAtOnce) {
      for (int64_t t = 0; t < count; t += kBlockRows) {
        for (int64_t c = 0; c < channels; c += kPairPanel) {
          kernels.pair_panel(strip.at(cell, first + t) + from, strip.stride,
                             static_cast<int>(std::min<int64_t>(kBlockRows, count - t)),
                             std::min(kInputsAtOnce, taps.inputs - from),
                             taps.panel(cell, first_channel + c) + from / 2 * kPairPanel, from > 0,
                             sums.data() + cell * kCellSums + t * kChannelsOfPart + c,
                             kChannelsOfPart);
        }
      }
    }
  }
  for (int64_t t = 0; t < count; ++t) {
    uint16_t* to[kWinogradResults];
    for (int64_t i = 0; i < kWinogradResults; ++i) {
      auto* result = tiles[first + t].result(i, taps.out);
      to[i] = result != nullptr ? result + first_channel : nullptr;
    }
    kernels.winograd_output(sums.data() + t * kChannelsOfPart, kCellSums, channels, to);
  }
}

}  // namespace

bool takes_winograd(const std::vector<at::Tensor>& maps, const at::Tensor& weight) {
  // With less to do, transforms and packing take what the products save, and parts are too few for
  // the threads.
  constexpr int64_t kFewestChannels = 512, kFewestCells = 64 * 64;
  const auto fits = [](int64_t channels) {
    return channels >= kFewestChannels && channels % kPairPanel == 0;
  };
  const auto bfloat16 = [](const at::Tensor& x) {
    return x.is_cpu() && x.scalar_type() == at::kBFloat16;
  };
  int64_t cells = 0;
  for (const auto& x : maps) cells += x.size(0) * x.size(2) * x.size(3);
  return multiplies_bfloat16() && !at::GradMode::is_enabled() && cells >= kFewestCells &&
         std::all_of(maps.begin(), maps.end(), bfloat16) && bfloat16(weight) &&
         weight.is_contiguous() && fits(weight.size(0)) && fits(weight.size(1));
}

std::vector<at::Tensor> winograd_conv(const std::vector<at::Tensor>& maps,
                                      const at::Tensor& weight) {
  TORCH_CHECK(weight.dim() == 4 && weight.size(0) % kPairPanel == 0 &&
                  weight.size(1) % kPairPanel == 0 && weight.size(2) == 3 && weight.size(3) == 3 &&
                  weight.is_contiguous() && weight.scalar_type() == at::kBFloat16 &&
                  weight.is_cpu(),
              "winograd_conv: the weight is ", weight.scalar_type(), " ", weight.sizes(),
              ", expected contiguous BFloat16 [out, in, 3, 3], multiples of ", kPairPanel);
  std::vector<at::Tensor> sources, results;
  std::vector<Map> places;
  for (const auto& x : maps) {
    TORCH_CHECK(x.dim() == 4 && x.size(1) == weight.size(1) && x.is_cpu() &&
                    x.scalar_type() == at::kBFloat16,
                "winograd_conv: a map is ", x.scalar_type(), " ", x.sizes(),
                ", expected BFloat16 [B, ", weight.size(1), ", H, W]");
    sources.push_back(x.contiguous(at::MemoryFormat::ChannelsLast));
    results.push_back(at::empty({x.size(0), weight.size(0), x.size(2), x.size(3)},
                                x.options().memory_format(at::MemoryFormat::ChannelsLast)));
    places.push_back({static_cast<const uint16_t*>(sources.back().const_data_ptr()),
                      static_cast<uint16_t*>(results.back().mutable_data_ptr()), x.size(2),
                      x.size(3)});
  }
  Tiles tiles;
  for (size_t m = 0; m < maps.size(); ++m) tiles.add(places[m], maps[m].size(0), weight.size(1));
  const auto threads = at::get_num_threads();
  for_each_chunk(static_cast<int64_t>(tiles.blank.size()), threads, [&](int64_t t) {
    for (int64_t i = 0; i < kWinogradResults; ++i) {
      auto* to = tiles.blank[static_cast<size_t>(t)].result(i, weight.size(0));
      if (to != nullptr) std::fill_n(to, weight.size(0), uint16_t{0});
    }
  });
  const auto total = static_cast<int64_t>(tiles.full.size());
  if (total == 0) return results;
  const PackedTaps taps(weight);
  Strip strip(taps.inputs);
  for (int64_t start = 0; start < total; start += kTilesOfStrip) {
    const auto* own = tiles.full.data() + start;
    const auto count = std::min(kTilesOfStrip, total - start);
    const auto parts = (count + kTilesOfPart - 1) / kTilesOfPart;
    for_each_chunk(parts, threads, [&](int64_t part) {
      const auto end = std::min(count, (part + 1) * kTilesOfPart);
      for (auto t = part * kTilesOfPart; t < end; ++t) strip.transform(own[t], t);
    });
    const auto groups = (taps.out + kChannelsOfPart - 1) / kChannelsOfPart;
    for_each_chunk(groups * parts, threads, [&](int64_t i) {
      const auto first = i % parts * kTilesOfPart;
      multiply_part(strip, taps, own, first, std::min(kTilesOfPart, count - first),
                    i / parts * kChannelsOfPart);
    });
  }
  return results;
}

}  // namespace groma::ops
