#include "bench/stages.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <memory>

#include "bench/limits.h"
#include "language/kv_cache.h"
#include "quantize.h"
#include "session.h"

namespace groma::bench {
namespace {

/// Numbers of the decoder's matrices, without the head.
double decoder_weights(const LanguageConfig& c) {
  const auto kv = c.hidden / c.heads * c.kv_heads;
  return static_cast<double>(c.layers) *
         static_cast<double>(2 * c.hidden * c.hidden + 2 * c.hidden * kv +
                             3 * c.hidden * c.intermediate);
}

double head_weights(const LanguageConfig& c) {
  return static_cast<double>(c.hidden * (c.vocabulary + c.new_tokens));
}

double attention_flops(const LanguageConfig& c, double rows, double positions) {
  return 4 * rows * positions * static_cast<double>(c.layers * c.hidden);
}

/// Bytes of the weights that a token reads: the decoder's layers and the heads.
double weight_bytes(GromaModelImpl& model) {
  double bytes = static_cast<double>(model.extra_lm_head->weight.nbytes());
  for (const auto& layer : quantized_layers(model, ops::WeightType::kInt4)) {
    const auto& packed = layer.layer->packed;
    bytes +=
        static_cast<double>(packed.defined() ? packed.data.nbytes() : layer.layer->weight.nbytes());
    if (packed.scales.defined()) bytes += static_cast<double>(packed.scales.nbytes());
  }
  return bytes;
}

double vision_flops(const VisionConfig& c) {
  const auto n = static_cast<double>(c.grid() * c.grid() + 1), d = static_cast<double>(c.hidden);
  const auto wide = static_cast<double>(c.intermediate);
  return static_cast<double>(c.layers) * (2 * n * (4 * d * d + 2 * d * wide) + 4 * n * n * d);
}

double fuse_flops(const ModelConfig& c) {
  double cells = 0;
  for (const auto scale : c.region.scales) {
    const auto side = scale * static_cast<double>(c.vision.grid());
    cells += side * side;
  }
  const auto channels = static_cast<double>(c.region.channels);
  return static_cast<double>(c.region.rounds) * cells * 2 * 9 * channels * channels;
}

double region_flops(const RegionConfig& c, double regions) {
  const auto channels = static_cast<double>(c.channels);
  const auto cells = static_cast<double>(c.roi_size * c.roi_size);
  return regions * cells *
         (3 * 2 * 9 * channels * channels + 2 * channels * static_cast<double>(c.region_hidden));
}

/// Adds lines; each is run once for nothing, so that memory and threads are there.
class Table {
 public:
  Table(int repeats, std::vector<Row>& rows, const std::function<void(const Row&)>& on_row)
      : repeats_(repeats), rows_(rows), on_row_(on_row) {}

  void add(Row row, const std::function<void()>& work, bool warm_up = true) {
    if (warm_up) work();
    const LoadMeter load;
    row.seconds = best_seconds(repeats_, work);
    row.others_cores = load.others();
    rows_.push_back(row);
    if (on_row_) on_row_(row);
  }

 private:
  int repeats_;
  std::vector<Row>& rows_;
  const std::function<void(const Row&)>& on_row_;
};

/// Feeds `count` rows of noise after what the cache holds and returns the last one's logits.
at::Tensor feed(GromaModelImpl& model, KvCache& cache, int64_t count) {
  const auto dtype = model.llm->embed_tokens->weight.options();
  const auto rows = at::randn({count, model.config.language.hidden}, at::kFloat).to(dtype);
  const Pack pack = {{count, &cache, {}}};
  const auto hidden = model.llm(rows, next_positions(pack).to(dtype.device()), pack);
  return model.logits(hidden.narrow(0, count - 1, 1)).to(at::kCPU);
}

void time_language(GromaModelImpl& model, const BenchOptions& options, Table& table) {
  const auto& config = model.config.language;
  const auto prefill = options.prefill, decode = options.decode;
  KvCache cache(config, model.llm->embed_tokens->weight.options());
  cache.reserve(prefill + std::max(decode, options.follow_up));
  const auto rows = static_cast<double>(prefill), steps = static_cast<double>(decode);
  const auto per_row = 2 * decoder_weights(config), head = 2 * head_weights(config);
  table.add({.name = "prefill " + std::to_string(prefill),
             .flops = per_row * rows + head + attention_flops(config, rows, rows / 2),
             .tokens = rows},
            [&] {
              cache.truncate(0);
              feed(model, cache, prefill);
            });
  table.add({.name = "decode " + std::to_string(decode),
             .flops = steps * (per_row + head) + attention_flops(config, steps, rows),
             .bytes = steps * weight_bytes(model),
             .tokens = steps},
            [&] {
              cache.truncate(prefill);
              for (int i = 0; i < decode; ++i) feed(model, cache, 1);
            });
  const auto more = static_cast<double>(options.follow_up);
  table.add({.name = "prefill " + std::to_string(options.follow_up) + " more",
             .flops = per_row * more + head + attention_flops(config, more, rows),
             .tokens = more},
            [&] {
              cache.truncate(prefill);
              feed(model, cache, options.follow_up);
            });
}

void time_picture(const Groma::Impl& engine, const Image& image, Table& table) {
  auto& model = *engine.model;
  Timings timings;
  const auto seen =
      see_picture(engine, network_picture(engine, image, Resize::kBicubic, timings), timings);
  const auto side = engine.model->config.vision.image_size;
  const auto pixels = at::zeros({1, 3, side, side}).to(engine.device);
  table.add({.name = "vision encoder", .flops = vision_flops(model.config.vision)},
            [&] { model.see(pixels); });
  table.add({.name = "proposer"}, [&] { model.propose(seen.hidden); });
  table.add({.name = "projector"}, [&] { model.image_tokens(seen.hidden); });
  table.add({.name = "fused maps", .flops = fuse_flops(model.config)},
            [&] { model.fuse_maps(seen.hidden); });
  const auto maps = model.fuse_maps(seen.hidden);
  const auto regions = std::min<int64_t>(100, seen.boxes_cxcywh.size(0));
  const auto boxes = seen.boxes_cxcywh.narrow(0, 0, regions);
  table.add({.name = std::to_string(regions) + " regions",
             .flops = region_flops(model.config.region, static_cast<double>(regions))},
            [&] { model.region_tokens(maps, boxes); });
}

/// The whole way of a first question and of the one after it, an answer of one token each.
void time_turns(std::shared_ptr<const Groma::Impl> engine, const Image& image, Table& table) {
  RegionOptions regions;
  regions.box_score = 0.0f;  // as many regions as there may be, whatever the weights are
  ChatOptions options;
  options.max_new_tokens = 1;
  const std::vector<TextPiece> question = {{"What is in the picture?", false}};
  const std::vector<TextPiece> further = {
      {"And what can you say about the things on the left side of it, and about those that are "
       "partly hidden behind something else?",
       false}};
  const auto none = at::empty({0, 4}, at::kFloat);
  std::vector<std::unique_ptr<Session::Impl>> sessions;
  table.add({.name = "first token, from the picture"}, [&] {
    sessions.push_back(std::make_unique<Session::Impl>(engine, image, regions));
    sessions.back()->ask(question, none, options);
  });
  // Each in a session that has answered one question; there is one more of them than repeats.
  size_t next = 0;
  table.add({.name = "first token of a further question"},
            [&] { sessions[next++ % sessions.size()]->ask(further, none, options); });
}

Image grey_image(int side) {
  const std::vector<std::uint8_t> pixels(static_cast<size_t>(3 * side * side), 127);
  return Image::from_rgb(pixels.data(), side, side);
}

}  // namespace

std::vector<Row> run(std::shared_ptr<const Groma::Impl> engine, const BenchOptions& options,
                     const std::function<void(const Row&)>& on_row) {
  const CallScope scope(*engine);
  std::vector<Row> rows;
  Table table(options.repeats, rows, on_row);
  time_language(*engine->model, options, table);
  if (options.stages) {
    const auto side = static_cast<int>(engine->model->config.vision.image_size);
    const auto image = options.image ? *options.image : grey_image(side);
    time_picture(*engine, image, table);
    time_turns(engine, image, table);
  }
  return rows;
}

}  // namespace groma::bench
