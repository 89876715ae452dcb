#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "eval/dataset.h"

namespace groma::eval {

/// Something the model is asked once for each prompt and seed.
struct Sample {
  std::string label;                 ///< stable: the entry's own
  std::uint32_t entry = 0;           ///< index into Dataset::entries
  std::vector<std::uint32_t> boxes;  ///< annotations that take part, in the order of the file
};

struct SampleList {
  std::vector<Sample> samples;
  std::vector<std::pair<std::string, std::string>> excluded;  ///< label and reason
  std::size_t other_tasks = 0;  ///< entries of a JSONL file that belong to other protocols
  std::size_t repeated = 0;     ///< samples that repeat image, text and box of an earlier one

  std::unordered_map<std::string, std::uint32_t> places() const;  ///< of the samples by label
};

/// What a protocol asks of a data set, in the order of the file.
///
/// limit     at most so many samples; 0: all
/// throws    Error when nothing is left
SampleList list_samples(const Dataset& dataset, Protocol protocol, std::size_t limit);

/// x1, y1, x2, y2 of the network's square picture, in [0, 1], clipped to it.
std::array<double, 4> unit_xyxy(const XywhBox& box, const Entry& entry);

}  // namespace groma::eval
