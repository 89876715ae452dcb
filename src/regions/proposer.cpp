#include "regions/proposer.h"

#include <ATen/ATen.h>

#include <limits>

#include "nn/group.h"
#include "regions/sine_position.h"

namespace groma {
namespace {

constexpr double kMapNormEps = 1e-6;  // the reference's own channel norm
constexpr double kNormEps = 1e-5;

}  // namespace

InputProjectionImpl::InputProjectionImpl(int64_t in, int64_t d_model, int64_t step) : step(step) {
  // The numbers are places in the reference's nn.Sequential.
  const auto norm_of = [&](const char* name, int64_t width) {
    return register_module(name, nn::LayerNorm2d(width, kMapNormEps));
  };
  switch (step) {
    case -1:
      halve = register_module("0", nn::Conv2d(in, d_model, 3, /*stride=*/2, /*padding=*/1));
      norm = norm_of("1", d_model);
      break;
    case 0:
      project = register_module("0", nn::Conv2d(in, d_model, 1));
      norm = norm_of("1", d_model);
      break;
    case 1:
      grow = register_module("0", nn::ConvTranspose2d(in, d_model / 2));
      project = register_module("1", nn::Conv2d(d_model / 2, d_model, 1));
      norm = norm_of("2", d_model);
      smooth = register_module("3", nn::Conv2d(d_model, d_model, 3, 1, 1));
      break;
    case 2:
      grow = register_module("0", nn::ConvTranspose2d(in, d_model / 2));
      grow_norm = norm_of("1", d_model / 2);
      grow_again = register_module("3", nn::ConvTranspose2d(d_model / 2, d_model / 4));
      project = register_module("4", nn::Conv2d(d_model / 4, d_model, 1));
      norm = norm_of("5", d_model);
      smooth = register_module("6", nn::Conv2d(d_model, d_model, 3, 1, 1));
      break;
    default:
      TORCH_CHECK(false, "InputProjection: step ", step, " is not one of -1, 0, 1, 2");
  }
}

torch::Tensor InputProjectionImpl::forward(torch::Tensor x) {
  if (halve) return norm(halve(x));
  if (grow) x = grow(x);                                   // [B, d/2, 2 grid, 2 grid]
  if (grow_again) x = grow_again(at::gelu(grow_norm(x)));  // [B, d/4, 4 grid, 4 grid]
  x = norm(project(x));
  return smooth ? smooth(x) : x;
}

BoxHeadImpl::BoxHeadImpl(int64_t d_model, int64_t hidden) {
  layers = register_module("layers", torch::nn::ModuleList());
  layers->push_back(nn::Linear(d_model, hidden));
  layers->push_back(nn::Linear(hidden, hidden));
  layers->push_back(nn::Linear(hidden, 4));
}

torch::Tensor BoxHeadImpl::forward(const torch::Tensor& x) {
  const auto layer = [&](size_t i) { return layers[i]->as<nn::Linear>(); };
  return layer(2)->forward(at::relu(layer(1)->forward(at::relu(layer(0)->forward(x)))));
}

torch::Tensor box_logits(const torch::Tensor& boxes_cxcywh) {
  constexpr double kEps = 1e-5;
  const auto x = boxes_cxcywh.clamp(0, 1);
  return at::log(x.clamp_min(kEps) / (1 - x).clamp_min(kEps));
}

std::pair<torch::Tensor, torch::Tensor> grid_proposals(const LevelShapes& shapes) {
  std::vector<torch::Tensor> levels;
  double side = 0.05;
  for (const auto& shape : shapes) {
    const auto centers = cell_centers({shape}).squeeze(2);  // [1, H*W, 2]
    levels.push_back(at::cat({centers, at::full_like(centers, side)}, -1));
    side *= 2;
  }
  const auto boxes = at::cat(levels, 1);
  const auto valid = boxes.gt(0.01).logical_and(boxes.lt(0.99)).all(-1, /*keepdim=*/true);
  constexpr auto kInfinity = std::numeric_limits<double>::infinity();
  return {at::log(boxes / (1 - boxes)).masked_fill(valid.logical_not(), kInfinity), valid};
}

ProposerImpl::ProposerImpl(const ProposerConfig& config) : config(config) {
  const auto d = config.d_model;
  encoder_layers = nn::group(*this, "encoder").register_module("layers", torch::nn::ModuleList());
  for (int64_t i = 0; i < config.encoder_layers; ++i) {
    encoder_layers->push_back(DeformableEncoderLayer(config));
  }
  decoder_layers = nn::group(*this, "decoder").register_module("layers", torch::nn::ModuleList());
  class_embed_coco = register_module("class_embed_coco", torch::nn::ModuleList());
  class_embed_sa1b = register_module("class_embed_sa1b", torch::nn::ModuleList());
  bbox_embed = register_module("bbox_embed", torch::nn::ModuleList());
  for (int64_t i = 0; i < config.decoder_layers; ++i) {
    decoder_layers->push_back(DeformableDecoderLayer(config));
    class_embed_coco->push_back(nn::Linear(d, 1));
    class_embed_sa1b->push_back(nn::Linear(d, 1));
    bbox_embed->push_back(BoxHead(d, config.box_hidden));
  }
  bbox_embed->push_back(BoxHead(d, config.box_hidden));  // of the first stage
  class_embed_enc = register_module("class_embed_enc", nn::Linear(d, 1));
  enc_output = register_module("enc_output", nn::Linear(d, d));
  enc_output_norm = register_module("enc_output_norm", nn::LayerNorm(d, kNormEps));
  pos_trans = register_module("pos_trans", nn::Linear(2 * d, 2 * d));
  pos_trans_norm = register_module("pos_trans_norm", nn::LayerNorm(2 * d, kNormEps));
  query_position_embeddings =
      register_module("query_position_embeddings", nn::Embedding(config.queries, d));
  level_embed = nn::shaped_parameter(*this, "level_embed", {config.levels, d});
}

torch::Tensor ProposerImpl::encode(const std::vector<torch::Tensor>& sources, Proposals& out) {
  std::vector<torch::Tensor> flat, positions;
  for (size_t l = 0; l < sources.size(); ++l) {
    const auto& source = sources[l];
    out.shapes.push_back({source.size(2), source.size(3)});
    flat.push_back(source.flatten(2).transpose(1, 2));  // [B, H*W, d]
    const auto position =
        sine_position_map(source.size(2), source.size(3), config.d_model / 2).to(source.options());
    positions.push_back(position.flatten(2).transpose(1, 2) + level_embed[l]);
  }
  auto x = at::cat(flat, 1);
  const auto position = at::cat(positions, 1);
  const auto reference = cell_centers(out.shapes).to(x.options()).expand({x.size(0), -1, -1, -1});
  for (const auto& layer : *encoder_layers) {
    x = layer->as<DeformableEncoderLayer>()->forward(x, position, reference, out.shapes);
    out.encoder.push_back(x);
  }
  return x;
}

void ProposerImpl::choose_queries(const torch::Tensor& memory, Proposals& out) {
  auto [grid, valid] = grid_proposals(out.shapes);
  grid = grid.to(memory.options());
  const auto masked = memory.masked_fill(valid.to(memory.device()).logical_not(), 0);
  const auto cells = enc_output_norm(enc_output(masked));
  out.encoder_scores = class_embed_enc(cells);
  const auto& head = bbox_embed[bbox_embed->size() - 1];
  out.encoder_boxes = head->as<BoxHead>()->forward(cells) + grid;

  TORCH_CHECK(config.queries <= memory.size(1), "proposer: ", config.queries, " queries but only ",
              memory.size(1), " cells");
  out.top_cells = std::get<1>(at::topk(out.encoder_scores.select(-1, 0), config.queries, 1));
  const auto chosen =
      out.encoder_boxes.gather(1, out.top_cells.unsqueeze(-1).expand({-1, -1, 4})).detach();
  out.initial = chosen.sigmoid();
  out.box_embedding = sine_position_boxes(chosen, config.d_model / 2);
  // Quirk: pos_trans makes 2d features of which the reference reads the first half alone; the
  // queries' content is the learned table. Test: golden proposer.query_pos.
  out.query_position = pos_trans_norm(pos_trans(out.box_embedding)).narrow(-1, 0, config.d_model);
}

void ProposerImpl::decode(const torch::Tensor& memory, Proposals& out) {
  auto x = query_position_embeddings->weight.unsqueeze(0).expand({memory.size(0), -1, -1});
  // Quirk: every layer attends at the initial boxes; the reference does not carry refined ones from
  // layer to layer. Test: golden proposer.decoder_layer.
  const auto reference =
      out.initial.unsqueeze(2).expand({-1, -1, static_cast<int64_t>(out.shapes.size()), -1});
  const auto initial_logits = box_logits(out.initial);
  for (size_t l = 0; l < decoder_layers->size(); ++l) {
    x = decoder_layers[l]->as<DeformableDecoderLayer>()->forward(x, out.query_position, memory,
                                                                 reference, out.shapes);
    out.decoder.push_back(x);
    out.references.push_back((bbox_embed[l]->as<BoxHead>()->forward(x) + initial_logits).sigmoid());
  }
}

torch::Tensor ProposerImpl::refined_boxes(const Proposals& proposals, int64_t l) {
  const auto& from = l == 0 ? proposals.initial : proposals.references[l - 1];
  return bbox_embed[l]->as<BoxHead>()->forward(proposals.decoder[l]) + box_logits(from);
}

Proposals ProposerImpl::forward(const std::vector<torch::Tensor>& sources) {
  Proposals out;
  const auto memory = encode(sources, out);
  choose_queries(memory, out);
  decode(memory, out);
  const auto last = static_cast<int64_t>(out.decoder.size()) - 1;
  out.coco_logits = class_embed_coco[last]->as<nn::Linear>()->forward(out.decoder[last]);
  out.sa1b_logits = class_embed_sa1b[last]->as<nn::Linear>()->forward(out.decoder[last]);
  out.boxes_cxcywh = refined_boxes(out, last).sigmoid();
  return out;
}

}  // namespace groma
