#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "groma/formats.h"
#include "groma/groma.h"

namespace groma::cli {

/// Regions as one line of JSON.
std::string to_json(const std::vector<Region>& regions, const Image& image);

/// What a checkpoint is, as one line of JSON.
std::string to_json(const ModelInfo& info);

/// One line a region that the answer names: words, number, box, score, probability.
void list_phrases(std::ostream& out, const ChatResult& answer);

/// One line for each thing that was pointed at other than by a box: what was taken, and what
/// nearly.
void list_referents(std::ostream& out, const std::vector<Referent>& referents);

/// One line a region: number, box, score.
void list_regions(std::ostream& out, const std::vector<Region>& regions);

}  // namespace groma::cli
