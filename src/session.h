#pragma once

#include <memory>
#include <vector>

#include "engine.h"
#include "language/kv_cache.h"
#include "language/prompt.h"

namespace groma {

/// The regions of a conversation, by number. Only ever grows.
struct RegionSet {
  at::Tensor boxes_cxcywh;  ///< [R, 4] in [0, 1]
  at::Tensor scores;        ///< [R]
  at::Tensor tokens;        ///< [R, H]
  std::vector<bool> given;  ///< came from the user
};

/// A conversation: the picture's features, its regions, the turns and what the decoder remembers.
struct Session::Impl {
  Impl(std::shared_ptr<const Groma::Impl> engine, const Image& image, const RegionOptions& options);

  /// The general question. Public chat makes pieces of what a user typed; evaluation and tests
  /// bring tagged ones.
  ///
  /// question      pieces; its <refer_box> and <refer_feat> stand for the boxes in order
  /// boxes_cxcywh  [U, 4] in [0, 1]
  ChatResult ask(const std::vector<TextPiece>& question, const at::Tensor& boxes_cxcywh,
                 const ChatOptions& options);

  /// Encodes the picture and chooses the regions, `boxes_cxcywh` being among the candidates; what
  /// has happened is not done again.
  void look(const at::Tensor& boxes_cxcywh, Timings& timings);

  /// Forgets turns and regions; the picture stays encoded.
  void clear();

  /// The regions in pixels.
  std::vector<Region> describe() const;

  std::shared_ptr<const Groma::Impl> engine;
  Image image;
  RegionOptions options;
  at::Tensor image_tokens;       ///< [image tokens, H]; undefined before the first look
  std::vector<at::Tensor> maps;  ///< fused maps that region tokens are read from
  at::Tensor proposed_boxes;     ///< [Q, 4] cxcywh in [0, 1]
  at::Tensor proposed_scores;    ///< [Q]
  RegionSet regions;             ///< undefined before they are chosen
  std::vector<Turn> turns;
  std::vector<Region> described;  ///< what `Session::regions` hands out

 private:
  void encode(Timings& timings);
  /// Region number of each box; appends those that no region covers.
  std::vector<int64_t> place_boxes(const at::Tensor& boxes_cxcywh, Timings& timings);
  ExpandedPrompt prompt_for(const std::vector<TextPiece>& question,
                            const std::vector<int64_t>& matches, std::vector<int64_t>& ids) const;
  /// Logits after the prompt's last position.
  at::Tensor prefill(const ExpandedPrompt& prompt, const ChatOptions& options, Timings& timings);
  at::Tensor embed(const ExpandedPrompt& prompt, int64_t from) const;
  ChatResult answer(const std::vector<TextPiece>& question, const at::Tensor& boxes_cxcywh,
                    const ChatOptions& options);

  KvCache cache_;
  ExpandedPrompt cached_;  // what each position of the cache holds
};

/// Checks boxes in pixels against a picture; throws an Error naming the first bad one.
void validate_boxes(const std::vector<Box>& boxes, int width, int height);

}  // namespace groma
