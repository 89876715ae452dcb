#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "engine.h"
#include "language/generate.h"
#include "language/kv_cache.h"
#include "language/prompt.h"
#include "picture_cache.h"
#include "tiles.h"

namespace groma {

/// A question that waits for its answer.
struct OpenQuestion {
  std::vector<TextPiece> question;
  std::vector<int64_t> matches;  ///< region behind each <refer_box>
  AnswerTask task;               ///< to be generated, alone or with others
  ChatResult result;             ///< so far: ids of the prompt, timings
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

  /// `ask` in two steps, so that the answers of several sessions can be generated together between
  /// them. `options` and the session stay in place until `close`.
  OpenQuestion open(const std::vector<TextPiece>& question, const at::Tensor& boxes_cxcywh,
                    const ChatOptions& options);
  ChatResult close(OpenQuestion& open);

  /// Lets the decoder read the picture, once, apart from any question: what follows is then the
  /// same to the last bit whatever was asked before.
  void read_picture(Timings& timings);

  /// A new conversation about the same picture, of which nothing is encoded or read again. Regions
  /// chosen before any question are taken over, numbered in random order where a seed is given.
  std::unique_ptr<Impl> fork(std::optional<std::uint64_t> shuffle_seed) const;

  /// Encodes the picture and chooses the regions, `boxes_cxcywh` being among the candidates; what
  /// has happened is not done again.
  void look(const at::Tensor& boxes_cxcywh, Timings& timings);

  /// Logits [T - first, V] that the model gives after each position of a conversation from `first`
  /// on: how probable it finds what stands there. Regions must have been chosen.
  at::Tensor logits_from(const ExpandedPrompt& conversation, int64_t first);

  /// Forgets turns and regions; the picture stays encoded.
  void clear();

  /// See Session.
  void choose(const at::Tensor& boxes_cxcywh, const at::Tensor& scores, std::vector<bool> given,
              std::map<int, Mask> masks);
  Ranking rank(const std::string& expression);
  std::string save() const;
  void restore(const std::string& saved, const std::string& name);

  /// The regions in pixels.
  std::vector<Region> describe() const;

  std::shared_ptr<const Groma::Impl> engine;
  Image image;
  RegionOptions options;
  at::Tensor image_tokens;       ///< [image tokens, H]; undefined before the first look
  std::vector<at::Tensor> maps;  ///< fused maps that region tokens are read from
  std::vector<SeenTile> tiles;   ///< whose features regions have instead, see RegionOptions
  at::Tensor proposed_boxes;     ///< [Q, 4] cxcywh in [0, 1]
  at::Tensor proposed_scores;    ///< [Q]
  RegionSet regions;             ///< undefined before they are chosen
  std::vector<Turn> turns;
  std::vector<Region> described;  ///< what `Session::regions` hands out

 private:
  void encode(Timings& timings);
  /// Takes up what an earlier run has kept of the picture; false where there is nothing.
  bool recall(const at::Tensor& pixels_u8);
  /// Keeps what was seen for later runs, unless it is kept already.
  void remember();
  /// What region numbers depend on, apart from boxes that a user gives.
  std::string region_settings() const;
  /// Region number of each box: that of the best region where the boxes were candidates when the
  /// regions were chosen; else those that no region covers are appended.
  std::vector<int64_t> place_boxes(const at::Tensor& boxes_cxcywh, bool were_candidates,
                                   Timings& timings);
  ExpandedPrompt prompt_for(const std::vector<TextPiece>& question,
                            const std::vector<int64_t>& matches, std::vector<int64_t>& ids) const;
  /// Feeds a prompt from position `from` on; returns the hidden states, [T, H].
  at::Tensor feed(const ExpandedPrompt& prompt, int64_t from);
  /// Keeps of the decoder's positions what a prompt begins with, at most `most`; returns how many.
  int64_t keep_shared(const ExpandedPrompt& prompt, int64_t most);
  /// Logits after the prompt's last position.
  at::Tensor prefill(const ExpandedPrompt& prompt, const ChatOptions& options, Timings& timings);
  at::Tensor embed(const ExpandedPrompt& prompt, int64_t from) const;
  ChatResult answer(const std::vector<TextPiece>& question, const at::Tensor& boxes_cxcywh,
                    const ChatOptions& options);

  /// Forgets the decoder's positions from `length` on.
  void forget_from(int64_t length);

  std::string kept_key_;    // of the picture in the engine's cache; empty where there is no cache
  RegionSet kept_regions_;  // from there
  bool kept_ = false;       // all of it is there
  KvCache cache_;
  ExpandedPrompt cached_;  // what each position of the cache holds
};

}  // namespace groma
