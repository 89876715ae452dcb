#include <ATen/ATen.h>

#include <algorithm>

#include "check.h"
#include "image/mask_check.h"
#include "regions/boxes.h"
#include "regions/given_boxes.h"
#include "session.h"

// What a user may do with the regions before asking.

namespace groma {
namespace {

/// The share of every cell of a map that a mask covers, [1, 1, height, width].
at::Tensor coverage(const Mask& mask, int64_t height, int64_t width) {
  const auto pixels = at::from_blob(const_cast<std::uint8_t*>(mask.inside.data()),
                                    {1, 1, mask.height, mask.width}, at::kByte);
  return at::adaptive_avg_pool2d(pixels.ne(0).to(at::kFloat), {height, width});
}

/// One region's token from features that are zero outside of its mask.
at::Tensor masked_token(GromaModelImpl& model, const std::vector<at::Tensor>& maps,
                        const at::Tensor& box_cxcywh, const Mask& mask) {
  std::vector<at::Tensor> inside;
  for (const auto& map : maps) {
    inside.push_back(map * coverage(mask, map.size(2), map.size(3)).to(map.options()));
  }
  return model.region_tokens(inside, box_cxcywh);
}

}  // namespace

void Session::Impl::choose(const at::Tensor& boxes_cxcywh, const at::Tensor& scores,
                           std::vector<bool> given, std::map<int, Mask> masks) {
  const auto count = boxes_cxcywh.size(0);
  const auto limit = engine->tokenizer.special().region_count;
  require(turns.empty(),
          "choose regions: a question was asked already and regions keep their "
          "numbers; choose before the first, or clear the session");
  require(count >= 1 && count <= limit, "choose regions: ", count, " regions; give 1 to ", limit,
          ", the model's number of region tokens");
  require(masks.empty() || engine->model->config.region.geometry == RoiGeometry::kExact,
          "choose regions: this model reads a region's features elsewhere in the picture "
          "(roi_geometry released), where a mask means nothing; point without masking");
  for (const auto& [number, mask] : masks) {
    require(number >= 0 && number < count, "choose regions: a mask for region ", number,
            ", there are ", count, "; give masks for regions that exist");
    check_mask(mask, image, "choose regions: the mask of region " + std::to_string(number));
  }
  Timings timings;
  if (!image_tokens.defined()) encode(timings);
  RegionSet set;
  set.boxes_cxcywh = boxes_cxcywh.to(proposed_boxes.options());
  set.scores = scores.to(proposed_scores.options());
  set.given = std::move(given);
  set.tokens = region_tokens(*engine->model, maps, tiles, set.boxes_cxcywh);
  for (const auto& [number, mask] : masks) {
    set.tokens[number].copy_(
        masked_token(*engine->model, maps, set.boxes_cxcywh.narrow(0, number, 1), mask)[0]);
  }
  set.masks = std::move(masks);
  clear();  // what the decoder read of other regions
  regions = std::move(set);
  kept_ = true;  // not for those who let the model choose
}

std::vector<Region> Session::proposals() try {
  const CallScope scope(*impl_->engine);
  Timings timings;
  impl_->look(at::empty({0, 4}, at::kFloat), timings);
  const auto boxes =
      to_pixel_boxes(impl_->proposed_boxes, impl_->image.width(), impl_->image.height());
  const auto scores = impl_->proposed_scores.to(at::kCPU, at::kFloat).contiguous();
  std::vector<Region> list(boxes.size());
  for (size_t i = 0; i < boxes.size(); ++i) {
    list[i] = {boxes[i], scores.const_data_ptr<float>()[i], false};
  }
  std::stable_sort(list.begin(), list.end(),
                   [](const Region& a, const Region& b) { return a.score > b.score; });
  return list;
} catch (...) {
  rethrow_with_advice("propose");
}

void Session::choose(const std::vector<Region>& regions, const std::map<int, Mask>& masks) try {
  const CallScope scope(*impl_->engine);
  const int width = impl_->image.width(), height = impl_->image.height();
  std::vector<Box> boxes;
  std::vector<float> scores;
  std::vector<bool> given;
  for (const auto& region : regions) {
    boxes.push_back(region.box);
    scores.push_back(region.score);
    given.push_back(region.given);
  }
  validate_boxes(boxes, width, height);
  impl_->choose(to_network_boxes(boxes, width, height), at::tensor(scores, at::kFloat),
                std::move(given), masks);
} catch (...) {
  rethrow_with_advice("choose regions");
}

}  // namespace groma
