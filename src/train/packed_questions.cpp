#include "train/packed_questions.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>

#include "train/stage.h"

namespace groma::train {
namespace {

/// Autocast to bfloat16 on this thread while it lives. Cast weights are not kept: other threads
/// share them.
class Autocast {
 public:
  Autocast(bool enabled, at::DeviceType device)
      : device_(device),
        enabled_(at::autocast::is_autocast_enabled(device)),
        dtype_(at::autocast::get_autocast_dtype(device)),
        cache_(at::autocast::is_autocast_cache_enabled()) {
    at::autocast::set_autocast_enabled(device, enabled);
    at::autocast::set_autocast_dtype(device, at::kBFloat16);
    at::autocast::set_autocast_cache_enabled(false);
  }
  ~Autocast() {
    at::autocast::set_autocast_enabled(device_, enabled_);
    at::autocast::set_autocast_dtype(device_, dtype_);
    at::autocast::set_autocast_cache_enabled(cache_);
  }
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  at::DeviceType device_;
  bool enabled_;
  at::ScalarType dtype_;
  bool cache_;
};

}  // namespace

PackedQuestions pack_questions(const QuestionWriter& writer, int64_t image_tokens, int64_t regions,
                               const std::vector<QuestionRows>& questions, at::Device device) {
  PackedQuestions pack;
  pack.ids = writer.prefix(image_tokens, regions, pack.source);
  const auto prefix = pack.rows();
  for (int64_t i = 0; i < prefix; ++i) pack.positions.push_back(i);
  pack.targets.assign(prefix, -1);
  pack.question_of.assign(prefix, -1);
  pack.feature_row.assign(regions, -1);
  for (int64_t i = 0; i < prefix; ++i) {
    if (pack.source[i] >= 0) pack.feature_row[pack.source[i]] = i;
  }
  for (size_t q = 0; q < questions.size(); ++q) {
    const auto& rows = questions[q];
    const auto first = pack.rows();
    for (size_t i = 0; i < rows.ids.size(); ++i) {
      pack.ids.push_back(rows.ids[i]);
      pack.positions.push_back(prefix + static_cast<int64_t>(i));
      pack.source.push_back(rows.feature_of[i]);
      pack.targets.push_back(rows.targets[i]);
      pack.question_of.push_back(static_cast<int64_t>(q));
    }
    for (auto pointer : rows.pointers) {
      pointer.position += first;
      pack.pointers.push_back(std::move(pointer));
      pack.pointer_question.push_back(static_cast<int64_t>(q));
    }
    for (const auto& [row, region] : rows.named) pack.named.push_back({row + first, region});
    for (const auto& [row, region] : rows.anchors) pack.anchors.push_back({row + first, region});
    for (const auto& [row, to] : rows.links) {
      pack.links.push_back({row + first, to < 0 ? 0 : to + first});
    }
    for (auto decision : rows.decisions) {
      decision.position += first;
      pack.decisions.push_back(std::move(decision));
    }
    pack.kinds.push_back(rows.kind);
  }
  const auto owner = at::tensor(pack.question_of, at::dtype(at::kLong).device(device));
  const auto same = owner.unsqueeze(1).eq(owner).logical_or(owner.eq(-1).unsqueeze(0));
  pack.mask = same.logical_and(at::ones(same.sizes(), same.options()).tril());
  return pack;
}

PackedOutput run_packed(GromaModelImpl& model, const std::vector<PackedQuestions>& packs,
                        const std::vector<SceneRegions>& regions, bool half) {
  PackedOutput out;
  const auto device = device_of(model);
  const auto numbers = at::dtype(at::kLong).device(device);
  std::vector<at::Tensor> embeds, positions;
  Pack sequences;
  int64_t first = 0;
  for (size_t b = 0; b < packs.size(); ++b) {
    const auto& pack = packs[b];
    const auto rows = pack.rows();
    const auto words = model.embed(at::tensor(pack.ids, numbers));  // [rows, H]
    auto table = at::cat({words, regions[b].tokens.to(words.scalar_type())});
    const auto regions_end = table.size(0);
    if (regions[b].image_tokens.defined()) {
      table = at::cat({table, regions[b].image_tokens.to(words.scalar_type())});
    }
    std::vector<int64_t> from(rows);
    for (int64_t i = 0; i < rows; ++i) {
      const auto source = pack.source[i];
      from[i] = source == -1 ? i : source >= 0 ? rows + source : regions_end - 2 - source;
    }
    embeds.push_back(table.index_select(0, at::tensor(from, numbers)));
    positions.push_back(at::tensor(pack.positions, numbers));
    sequences.push_back({rows, nullptr, pack.mask});
    out.first_row.push_back(first);
    first += rows;
  }
  out.positions = at::cat(positions);
  const Autocast autocast(half, device.type());
  out.last = model.llm->forward(at::cat(embeds), out.positions, sequences, &out.hidden);
  return out;
}

}  // namespace groma::train
