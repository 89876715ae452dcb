#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "eval/samples.h"
#include "language/tokenizer.h"

namespace groma::eval {

/// The instructions of a protocol; "{}" stands for what is asked about.
///
/// detailed  captions: those of RefCOCOg instead of Visual Genome's
/// source    the original's data/datasets: refcoco_rec, lvis, refcoco_cap, visual_genome
const std::vector<std::string>& instructions(Protocol protocol, bool detailed);

/// Most new tokens of an answer.
int answer_length(Protocol protocol);

/// An instruction about a sample. What annotations say is plain text: no tag in it is a token.
std::vector<TextPiece> question_of(const Dataset& dataset, const Sample& sample, Protocol protocol,
                                   const std::string& instruction);

/// The same as a text, for people.
std::string text_of(const std::vector<TextPiece>& pieces);

/// A question that is to be asked once.
struct Ask {
  std::uint32_t sample = 0;  ///< index into SampleList::samples
  int prompt = 0;            ///< index into the instructions
  std::string key;
  std::optional<std::uint64_t> shuffle_seed;  ///< of the numbers of regions
};

/// Everything that one shard asks, in the order in which it does: questions about one picture stand
/// together, pictures in the order of the file. Depends on nothing but the arguments.
///
/// prompts   number of instructions
std::vector<Ask> plan_asks(const Dataset& dataset, const SampleList& list, int prompts,
                           const RunOptions& options);

}  // namespace groma::eval
