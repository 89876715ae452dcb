#include "model.h"

#include <ATen/ATen.h>
#include <ATen/OpMathType.h>

#include "nn/group.h"

namespace groma {

GromaModelImpl::GromaModelImpl(const ModelConfig& config) : config(config) {
  const auto& language = config.language;
  const auto merged = config.projector.merge * config.projector.merge * config.vision.hidden;
  auto& perceiver = nn::group(*this, "perceiver");
  vis_encoder = perceiver.register_module("vis_encoder", Dinov2(config.vision));
  input_proj = perceiver.register_module("input_proj", torch::nn::ModuleList());
  // Built from half the grid upwards, stored finest first.
  for (int64_t i = config.proposer.levels - 1; i >= 0; --i) {
    const auto step = config.proposer.levels == 1 ? 0 : i - 1;
    input_proj->push_back(InputProjection(config.vision.hidden, config.proposer.d_model, step));
  }
  proposer = perceiver.register_module("ddetr_transformer", Proposer(config.proposer));
  img_txt_bridge = register_module("img_txt_bridge", Projector(merged, language.hidden));
  region_encoder = register_module("region_encoder",
                                   RegionEncoder(config.region, config.vision, language.hidden));
  auto& causal = nn::group(*this, "llm");
  llm = causal.register_module("model", Llama(language));
  lm_head =
      causal.register_module("lm_head", nn::Linear(language.hidden, language.vocabulary, false));
  extra_lm_head =
      register_module("extra_lm_head", nn::Linear(language.hidden, language.new_tokens, false));
  new_input_embs =
      register_module("new_input_embs", nn::Embedding(language.new_tokens, language.hidden));
}

std::vector<torch::Tensor> GromaModelImpl::see(const torch::Tensor& pixels) {
  return vis_encoder(pixels);
}

torch::Tensor GromaModelImpl::proposer_input(const std::vector<torch::Tensor>& hidden) {
  return patches_as_map(at::stack(hidden).to(at::kFloat).mean(0));
}

Proposals GromaModelImpl::propose(const std::vector<torch::Tensor>& hidden) {
  const auto map = proposer_input(hidden);
  std::vector<torch::Tensor> sources;
  for (const auto& projection : *input_proj) {
    sources.push_back(projection->as<InputProjection>()->forward(map));
  }
  return proposer(sources);
}

torch::Tensor GromaModelImpl::merged_patches(const std::vector<torch::Tensor>& hidden) const {
  const auto& last = hidden[hidden.size() + config.vision.output_layer];
  return merge_patches(patches_as_map(last), config.projector.merge);
}

torch::Tensor GromaModelImpl::image_tokens(const std::vector<torch::Tensor>& hidden) {
  return img_txt_bridge(merged_patches(hidden));
}

std::vector<torch::Tensor> GromaModelImpl::fuse_maps(const std::vector<torch::Tensor>& hidden) {
  std::vector<torch::Tensor> maps;
  for (size_t i = hidden.size() - 3; i < hidden.size(); ++i) {
    maps.push_back(patches_as_map(hidden[i]));
  }
  return region_encoder->mlvl_fuse(maps);
}

torch::Tensor GromaModelImpl::region_tokens(const std::vector<torch::Tensor>& maps,
                                            const torch::Tensor& boxes_cxcywh,
                                            const torch::Tensor& placed_cxcywh) {
  const auto first_image = at::zeros({boxes_cxcywh.size(0)}, boxes_cxcywh.options());
  return region_encoder->roi_align(maps, boxes_cxcywh, first_image, placed_cxcywh);
}

torch::Tensor GromaModelImpl::embed(const torch::Tensor& ids) {
  const auto old = config.language.vocabulary;
  const auto is_new = ids >= old;
  const auto base = llm->embed_tokens(ids.masked_fill(is_new, 0));
  const auto added = new_input_embs((ids - old).clamp_min(0));
  return at::where(is_new.unsqueeze(-1), added, base);
}

torch::Tensor GromaModelImpl::logits(const torch::Tensor& hidden) {
  const auto logits = at::cat({lm_head(hidden), extra_lm_head(hidden)}, -1);
  return logits.to(at::toOpMathType(logits.scalar_type()));
}

bool computes_in_float(const std::string& parameter) {
  return parameter.starts_with("perceiver.input_proj.") ||
         parameter.starts_with("perceiver.ddetr_transformer.");
}

}  // namespace groma
