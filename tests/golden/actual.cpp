#include "golden/actual.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "language/kv_cache.h"
#include "ops/ms_deform_attn/ms_deform_attn.h"
#include "ops/nms.h"
#include "ops/roi_align/roi_align.h"
#include "regions/boxes.h"
#include "regions/select.h"
#include "regions/sine_position.h"

namespace groma::testing {
namespace {

void add_layers(io::TensorMap& out, const std::string& prefix,
                const std::vector<at::Tensor>& layers) {
  for (size_t l = 0; l < layers.size(); ++l) out[prefix + std::to_string(l)] = layers[l];
}

void add_proposer(io::TensorMap& out, GromaModelImpl& model, const Proposals& proposals,
                  const std::vector<at::Tensor>& hidden) {
  const auto map = GromaModelImpl::proposer_input(hidden);
  out["proposer.input"] = map;
  for (size_t l = 0; l < model.input_proj->size(); ++l) {
    out["proposer.src." + std::to_string(l)] =
        model.input_proj[l]->as<InputProjection>()->forward(map);
  }
  add_layers(out, "proposer.encoder_layer.", proposals.encoder);
  out["proposer.encoder_output"] = proposals.encoder.back();
  out["proposer.enc_class"] = proposals.encoder_scores;
  out["proposer.enc_coord_logits"] = proposals.encoder_boxes;
  out["proposer.topk_indices"] = proposals.top_cells;
  out["proposer.init_reference_points"] = proposals.initial;
  out["proposer.pos_embed"] = proposals.box_embedding;
  out["proposer.query_pos"] = proposals.query_position;
  add_layers(out, "proposer.decoder_layer.", proposals.decoder);
  out["proposer.intermediate_reference_points"] = at::stack(proposals.references, 1);
  out["proposer.logits_coco"] = proposals.coco_logits;
  out["proposer.logits_sa1b"] = proposals.sa1b_logits;
  out["proposer.pred_boxes"] = proposals.boxes_cxcywh;
}

void add_regions(io::TensorMap& out, GromaModelImpl& model, const std::vector<at::Tensor>& maps,
                 const at::Tensor& boxes) {
  auto& pool = *model.region_encoder->roi_align;
  add_layers(out, "region.fused.", maps);
  const auto rois = pool.rois(boxes, at::zeros({boxes.size(0)}));
  out["region.rois"] = rois;
  std::vector<at::Tensor> pooled;
  for (size_t l = 0; l < maps.size(); ++l) pooled.push_back(pool.pool(maps[l], rois, l));
  add_layers(out, "region.roi_align.", pooled);
  out["region.flatten_out"] = pool.flatten(pooled);
  out["region.features"] = model.region_tokens(maps, boxes);
}

}  // namespace

CaseTensors compute_case(const Groma::Impl& engine, const Image& image,
                         const at::Tensor& user_boxes, const SelectConfig& select) {
  auto& model = *engine.model;
  CaseTensors result;
  auto& out = result.tensors;
  const auto squashed = resize_image(image, model.config.vision.image_size, Resize::kBicubic);
  const auto pixels = normalize_pixels(squashed, engine.pixel_norm);
  out["image.resized_u8"] = squashed;
  out["image.pixel_values"] = pixels;
  out["vit.embeddings"] = model.vis_encoder->embeddings(pixels);
  const auto hidden = model.see(pixels);
  for (size_t i = 0; i < hidden.size(); ++i) {
    out["vit.hidden_state.minus" + std::to_string(hidden.size() - i)] = hidden[i];
  }
  const auto proposals = model.propose(hidden);
  add_proposer(out, model, proposals, hidden);

  const auto scores = fuse_scores(proposals.coco_logits, proposals.sa1b_logits).squeeze(0);
  const auto chosen = select_regions(proposals.boxes_cxcywh.squeeze(0), scores, user_boxes, select);
  out["select.candidate_scores"] = chosen.candidate_scores;
  out["select.candidate_boxes"] = chosen.candidate_boxes;
  out["select.kept_indices"] = chosen.kept;
  out["select.boxes"] = chosen.boxes_cxcywh;
  add_regions(out, model, model.fuse_maps(hidden), chosen.boxes_cxcywh);
  out["bridge.input"] = model.merged_patches(hidden);
  out["bridge.image_features"] = model.image_tokens(hidden);
  result.region_boxes = chosen.boxes_cxcywh;
  result.region_tokens = out["region.features"];
  result.image_tokens = out["bridge.image_features"].squeeze(0);
  return result;
}

io::TensorMap compute_turn(const Groma::Impl& engine, const CaseTensors& seen,
                           const std::vector<int64_t>& prompt_ids,
                           const std::vector<int64_t>& refer_matches,
                           const std::vector<int64_t>& generated_ids) {
  auto& model = *engine.model;
  const auto prompt =
      expand_prompt(prompt_ids, engine.tokenizer.special(), seen.image_tokens.size(0),
                    seen.region_boxes.size(0), refer_matches);
  auto rows = model.embed(at::tensor(prompt.ids, at::kLong));
  for (size_t i = 0; i < prompt.ids.size(); ++i) {
    const auto feature = prompt.feature_of[i];
    if (feature == -1) continue;
    const auto& source = feature < 0 ? seen.image_tokens : seen.region_tokens;
    rows[static_cast<int64_t>(i)].copy_(source[feature < 0 ? -2 - feature : feature]);
  }
  KvCache cache(model.config.language, rows.options());
  cache.reserve(rows.size(0) + static_cast<int64_t>(generated_ids.size()));
  const auto step = [&](const at::Tensor& fed) {
    const Pack pack = {{fed.size(0), &cache, {}}};
    const auto hidden = model.llm(fed, next_positions(pack), pack);
    return model.logits(hidden.narrow(0, hidden.size(0) - 1, 1));
  };
  std::vector<at::Tensor> logits = {step(rows)};
  for (size_t i = 0; i + 1 < generated_ids.size(); ++i) {
    logits.push_back(step(model.embed(at::tensor({generated_ids[i]}, at::kLong))));
  }
  return {{"llm.expanded_ids", at::tensor(prompt.ids, at::kLong)},
          {"llm.inputs_embeds", rows.unsqueeze(0)},
          {"llm.step_logits", at::cat(logits)}};
}

namespace {

std::vector<std::array<int64_t, 2>> shapes_of(const at::Tensor& table) {
  std::vector<std::array<int64_t, 2>> shapes;
  for (int64_t l = 0; l < table.size(0); ++l) {
    shapes.push_back({table[l][0].item<int64_t>(), table[l][1].item<int64_t>()});
  }
  return shapes;
}

void add_attention_module(io::TensorMap& out, const io::TensorMap& in) {
  const auto at_in = [&](const std::string& name) { return in.at("msda_module." + name); };
  const auto shapes = shapes_of(at_in("spatial_shapes"));
  const auto query = at_in("hidden_states") + at_in("position_embeddings");
  const auto levels = static_cast<int64_t>(shapes.size());
  const auto d = query.size(-1);
  const auto samples = at_in("param.attention_weights.bias").numel();
  // The recorded module has 4 points; heads follow from the number of samples.
  constexpr int64_t kPoints = 4;
  DeformableAttention module(d, samples / levels / kPoints, levels, kPoints);
  for (auto& item : module->named_parameters()) {
    item.value().set_data(at_in("param." + item.key()).clone());
  }
  for (const std::string kind : {"ref2", "ref4"}) {
    if (!in.contains("msda_module." + kind + ".reference_points")) continue;
    out["msda_module." + kind + ".output"] =
        module(query, at_in("encoder_hidden_states"), at_in(kind + ".reference_points"), shapes);
  }
}

/// Of the eight ways to turn and mirror `picture` the one nearest to `like`.
at::Tensor turned_as(const at::Tensor& like, const at::Tensor& picture) {
  at::Tensor best = picture;
  double least = std::numeric_limits<double>::infinity();
  for (const auto& mirrored : {picture, picture.flip({1})}) {
    for (int64_t quarter = 0; quarter < 4; ++quarter) {
      const auto turned = at::rot90(mirrored, quarter, {0, 1});
      if (turned.sizes() != like.sizes()) continue;
      const auto error = (turned.to(at::kFloat) - like.to(at::kFloat)).abs().mean().item<double>();
      if (error < least) {
        least = error;
        best = turned;
      }
    }
  }
  return best;
}

std::string before(const std::string& name, const std::string& end) {
  return name.substr(0, name.size() - end.size());
}

}  // namespace

io::TensorMap compute_ops(const io::TensorMap& in, const nlohmann::json& parameters) {
  io::TensorMap out;
  if (in.contains("msda_module.spatial_shapes")) add_attention_module(out, in);
  for (const auto& [name, tensor] : in) {
    if (name.starts_with("msda.") && name.ends_with(".value")) {
      const auto key = before(name, ".value");
      out[key + ".output"] = ops::ms_deform_attn(tensor, shapes_of(in.at(key + ".spatial_shapes")),
                                                 in.at(key + ".sampling_locations"),
                                                 in.at(key + ".attention_weights"));
    } else if (name.starts_with("nms.") && name.ends_with(".boxes_xyxy")) {
      const auto key = before(name, ".boxes_xyxy");
      const auto& p = parameters.at(key.substr(4));
      out[key + ".kept"] = ops::nms(tensor, in.at(key + ".scores"), p.at("iou_threshold"),
                                    p.at("score_threshold"), p.at("max_num"));
    } else if (name == "roi_align.general.input") {
      out["roi_align.general.out_7x5_scale0.5_sr3"] =
          ops::roi_align(tensor, in.at("roi_align.general.rois"), 7, 5, 0.5, 3);
    } else if (name.starts_with("roi_align.") && name.ends_with(".input")) {
      const auto key = before(name, ".input");
      const double scale = tensor.size(-1) / 32.0 * 2 / 14;  // as released: 8/14, 4/14, 2/14
      out[key + ".output"] = ops::roi_align(tensor, in.at("roi_align.rois"), 14, 14, scale, 2);
    } else if (name.starts_with("sine.")) {
      const auto& p = parameters.at(name);
      out[name] = sine_position_map(p.at("height"), p.at("width"), p.at("feats_per_axis"));
    } else if (name.starts_with("proposal_pos.d")) {
      const int64_t d = std::stoll(name.substr(std::string("proposal_pos.d").size()));
      out[name] = sine_position_boxes(in.at("proposal_pos.logits"), d / 2);
    } else if (name == "proposals.logits") {
      LevelShapes shapes;
      for (const auto& shape : parameters.at("proposals").at("spatial_shapes")) {
        shapes.push_back({shape.at(0), shape.at(1)});
      }
      const auto [logits, valid] = grid_proposals(shapes);
      out["proposals.logits"] = logits;
      out["proposals.valid"] = valid.flatten();
    } else if (name.starts_with("vit_pos.output_")) {
      VisionConfig config;
      const auto& table = in.at("vit_pos.input");
      config.hidden = table.size(2);
      Dinov2Embeddings embeddings(config);
      embeddings->position_embeddings.set_data(table.clone());
      out[name] = embeddings->positions(
          std::stoll(name.substr(std::string("vit_pos.output_").size())) / 14);
    }
  }
  return out;
}

io::TensorMap compute_preprocess(const std::filesystem::path& folder,
                                 const io::TensorMap& expected) {
  io::TensorMap out;
  for (const auto& [name, tensor] : expected) {
    const auto slash = name.find('/');
    const auto what = name.substr(slash + 1);
    const auto image = Image::open((folder / name.substr(0, slash)).string());
    const auto size = tensor.dim() == 3 ? tensor.size(1) : 0;
    if (what == "decoded_pil" || what == "decoded_cv2_rgb") {
      out[name] = at::empty({image.height(), image.width(), 3}, at::kByte);
      std::copy_n(image.data(), out[name].numel(), out[name].data_ptr<uint8_t>());
      // Pillow's decoder leaves pictures as stored, ours turns them as their EXIF entry says: of a
      // picture recorded both ways the stored one is compared after turning ours back.
      const auto turned = name.substr(0, slash) + "/decoded_cv2_rgb";
      if (what == "decoded_pil" && expected.contains(turned)) {
        out[name] = turned_as(tensor, out[name]);
      }
    } else if (what == "resized_pil_bicubic") {
      out[name] = resize_image(image, size, Resize::kBicubic);
    } else if (what == "resized_cv2_bilinear_rgb") {
      out[name] = resize_image(image, size, Resize::kBilinear);
    } else if (what == "pixel_values_eval") {
      const auto squashed = resize_image(image, size, Resize::kBilinear);
      out[name] = normalize_pixels(squashed, PixelNorm{}).squeeze(0);
    }
  }
  return out;
}

}  // namespace groma::testing
