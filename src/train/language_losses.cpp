#include "train/language_losses.h"

#include <ATen/ATen.h>

#include <array>
#include <cmath>
#include <limits>

namespace groma::train {
namespace {

/// Where the auxiliary targets act, for any depth: pointing after two thirds of the layers, looking
/// up what was named early, the bag of words half way.
struct Places {
  explicit Places(int64_t layers)
      : pointing(std::max<int64_t>(1, layers * 2 / 3 - 1)),
        second_hop(std::min(pointing + 1, layers - 1)),
        lookup(layers / 4),
        anchor(std::max<int64_t>(0, pointing - 1)),
        bag(layers / 2) {}
  int64_t pointing, second_hop, lookup, anchor, bag;
};

/// One head of a layer that is taught where to look.
struct Look {
  int64_t layer, head;
  double weight;
  at::Tensor sum = at::zeros({});
  double count = 0;
};

at::Tensor chosen(const at::Tensor& rows, const std::vector<int64_t>& which) {
  return rows.index_select(0, at::tensor(which, rows.options().dtype(at::kLong)));
}

/// Which rows look, and where each may.
struct Targets {
  std::vector<int64_t> rows;
  std::vector<int64_t> looker, column;  // one pair for each target: index into rows, column

  void add(int64_t row, const std::vector<int64_t>& columns) {
    for (const auto c : columns) {
      looker.push_back(static_cast<int64_t>(rows.size()));
      column.push_back(c);
    }
    rows.push_back(row);
  }
};

/// Sum over rows of the negative log attention that each pays to all its columns together.
///
/// Rows and columns count within one scene's sequence.
at::Tensor looking(GromaModelImpl& model, const PackedQuestions& pack, const PackedOutput& output,
                   int64_t first, int64_t layer, int64_t head, const Targets& targets) {
  auto& block = *model.llm->layers[layer]->as<LlamaLayer>();
  const auto width = model.config.language.hidden / block.self_attn->heads;
  const auto group = block.self_attn->heads / block.self_attn->kv_heads;
  const auto x = block.input_layernorm(output.hidden[layer].narrow(0, first, pack.rows()));
  const Rotary rotary(output.positions.narrow(0, first, pack.rows()), width,
                      model.config.language.rope_theta);
  const auto part = [&](nn::Linear& projection, int64_t h) {
    const auto y = at::linear(x, projection->weight.narrow(0, h * width, width));
    return rotary.turn(y.unsqueeze(0))[0].to(at::kFloat);  // [rows, width]
  };
  const auto query = chosen(part(block.self_attn->q_proj, head), targets.rows);
  const auto key = part(block.self_attn->k_proj, head / group);
  const auto scores = query.matmul(key.t()) / std::sqrt(static_cast<double>(width));
  const auto hidden = chosen(pack.mask, targets.rows).logical_not();
  const auto log_share =
      scores.masked_fill(hidden, -std::numeric_limits<float>::infinity()).log_softmax(1);
  auto elsewhere = at::ones(log_share.sizes(), hidden.options());
  const auto numbers = hidden.options().dtype(at::kLong);
  elsewhere.index_put_({at::tensor(targets.looker, numbers), at::tensor(targets.column, numbers)},
                       at::zeros({1}, hidden.options()));
  constexpr double kNothing = -1e30;  // not infinite: its gradient stays a number
  return -log_share.masked_fill(elsewhere, kNothing).logsumexp(1).sum();
}

}  // namespace

AnswerLoss answer_loss(GromaModelImpl& model, const std::vector<PackedQuestions>& packs,
                       const PackedOutput& output) {
  std::vector<int64_t> rows, targets;
  for (size_t b = 0; b < packs.size(); ++b) {
    for (int64_t i = 0; i < packs[b].rows(); ++i) {
      if (packs[b].targets[i] < 0) continue;
      rows.push_back(output.first_row[b] + i);
      targets.push_back(packs[b].targets[i]);
    }
  }
  AnswerLoss result;
  if (rows.empty()) {  // no question of this pass has all its regions
    result.loss = output.last.sum() * 0;
    for (const auto& pack : packs) result.right.push_back(at::ones({pack.rows()}, at::kBool));
    return result;
  }
  const auto logits = model.logits(chosen(output.last, rows));
  const auto target = at::tensor(targets, logits.options().dtype(at::kLong));
  result.loss = at::cross_entropy_loss(logits, target);
  const auto hit = logits.argmax(1).eq(target).to(at::kCPU);
  auto right = at::ones({output.last.size(0)}, at::kBool);
  right.index_put_({at::tensor(rows, at::kLong)}, hit);
  for (size_t b = 0; b < packs.size(); ++b) {
    result.right.push_back(right.narrow(0, output.first_row[b], packs[b].rows()));
  }
  return result;
}

at::Tensor copy_loss(GromaModelImpl& model, const std::vector<PackedQuestions>& packs,
                     const PackedOutput& output, int64_t region_first) {
  std::vector<int64_t> rows, targets;
  for (size_t b = 0; b < packs.size(); ++b) {
    for (size_t k = 0; k < packs[b].feature_row.size(); ++k) {
      rows.push_back(output.first_row[b] + packs[b].feature_row[k]);
      targets.push_back(region_first + static_cast<int64_t>(k));
    }
  }
  const auto logits = model.logits(chosen(output.last, rows));
  return at::cross_entropy_loss(logits, at::tensor(targets, logits.options().dtype(at::kLong)));
}

at::Tensor attention_loss(GromaModelImpl& model, const std::vector<PackedQuestions>& packs,
                          const PackedOutput& output) {
  const Places places(model.config.language.layers);
  // What looks where: one hop and how an answer begins, the second of two hops, what was just
  // named, what leads on from the question and from the answer.
  std::array<Look, 4> looks{Look{places.pointing, 0, 1}, Look{places.second_hop, 0, 0.5},
                            Look{places.lookup, 1, 0.5}, Look{places.anchor, 2, 0.5}};
  for (size_t b = 0; b < packs.size(); ++b) {
    const auto& pack = packs[b];
    const auto features = [&](const std::vector<int64_t>& regions) {
      std::vector<int64_t> columns;
      for (const auto region : regions) columns.push_back(pack.feature_row[region]);
      if (columns.empty()) columns.push_back(0);
      return columns;
    };
    std::array<Targets, 4> targets;
    for (const auto& pointer : pack.pointers) {
      targets[pointer.second_hop ? 1 : 0].add(pointer.position, features({pointer.region}));
    }
    for (const auto& it : pack.decisions) targets[0].add(it.position, features(it.regions));
    for (const auto& [row, region] : pack.named) targets[2].add(row, features({region}));
    for (const auto& [row, region] : pack.anchors) targets[3].add(row, features({region}));
    for (const auto& [row, to] : pack.links) targets[3].add(row, {to});
    for (size_t i = 0; i < looks.size(); ++i) {
      if (targets[i].rows.empty()) continue;
      looks[i].sum = looks[i].sum + looking(model, pack, output, output.first_row[b],
                                            looks[i].layer, looks[i].head, targets[i]);
      looks[i].count += static_cast<double>(targets[i].rows.size());
    }
  }
  auto total = at::zeros({});
  for (const auto& look : looks) total = total + look.weight * look.sum / std::max(look.count, 1.0);
  return total;
}

at::Tensor bag_loss(GromaModelImpl& model, const std::vector<PackedQuestions>& packs,
                    const PackedOutput& output,
                    const std::vector<std::vector<std::vector<int64_t>>>& words_of) {
  const Places places(model.config.language.layers);
  std::vector<int64_t> rows, entry_row, entry_word;
  std::vector<float> entry_share;
  const auto add = [&](int64_t row, const std::vector<int64_t>& words) {
    if (words.empty()) return;
    for (const auto word : words) {
      entry_row.push_back(static_cast<int64_t>(rows.size()));
      entry_word.push_back(word);
      entry_share.push_back(1 / static_cast<float>(words.size()));
    }
    rows.push_back(row);
  };
  for (size_t b = 0; b < packs.size(); ++b) {
    for (size_t k = 0; k < packs[b].feature_row.size(); ++k) {
      add(output.first_row[b] + packs[b].feature_row[k], words_of[b][k]);
    }
    for (const auto& pointer : packs[b].pointers) {
      add(output.first_row[b] + pointer.position, pointer.words);
    }
    for (const auto& decision : packs[b].decisions) {
      add(output.first_row[b] + decision.position, decision.words);
    }
  }
  if (rows.empty()) return at::zeros({});
  const auto half_way = model.llm->norm(chosen(output.hidden[places.bag], rows));
  const auto log_share = model.logits(half_way).log_softmax(1);
  const auto numbers = log_share.options().dtype(at::kLong);
  const auto at_words =
      log_share.index({at::tensor(entry_row, numbers), at::tensor(entry_word, numbers)});
  const auto share = at::tensor(entry_share, log_share.device());
  return -(at_words * share).sum() / static_cast<double>(rows.size());
}

}  // namespace groma::train
