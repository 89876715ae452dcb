#include <ATen/ATen.h>

#include "saved_session.h"
#include "session.h"

namespace groma {

std::string Session::Impl::save() const {
  SavedSession saved;
  saved.turns = turns;
  if (regions.tokens.defined()) {
    const auto boxes = regions.boxes_cxcywh.to(at::kCPU, at::kFloat).contiguous();
    const auto scores = regions.scores.to(at::kCPU, at::kFloat).contiguous();
    for (int64_t k = 0; k < boxes.size(0); ++k) {
      const auto* box = boxes.const_data_ptr<float>() + 4 * k;
      const auto mask = regions.masks.find(static_cast<int>(k));
      saved.regions.push_back({{box[0], box[1], box[2], box[3]},
                               scores.const_data_ptr<float>()[k],
                               static_cast<bool>(regions.given[k]),
                               mask != regions.masks.end() ? mask->second : Mask{}});
    }
  }
  return to_json(saved, image);
}

void Session::Impl::restore(const std::string& text, const std::string& name) {
  auto saved = parse_saved_session(text, image, name);
  std::vector<float> boxes, scores;
  std::vector<bool> given;
  std::map<int, Mask> masks;
  for (auto& region : saved.regions) {
    boxes.insert(boxes.end(), region.cxcywh.begin(), region.cxcywh.end());
    if (region.mask.width > 0) masks[static_cast<int>(scores.size())] = std::move(region.mask);
    scores.push_back(region.score);
    given.push_back(region.given);
  }
  clear();
  if (scores.empty()) return;
  choose(at::tensor(boxes, at::kFloat).view({-1, 4}), at::tensor(scores, at::kFloat),
         std::move(given), std::move(masks));
  turns = std::move(saved.turns);
}

std::string Session::save() const { return impl_->save(); }

void Session::restore(const std::string& saved, const std::string& name) try {
  const CallScope scope(*impl_->engine);
  impl_->restore(saved, name);
} catch (...) {
  rethrow_with_advice("restore the session");
}

}  // namespace groma
