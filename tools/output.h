#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "groma/formats.h"
#include "groma/groma.h"

namespace groma::cli {

/// The regions of an answer and its picture as one line of JSON.
std::string regions_json(const ImageAnswer& answered);

/// What a checkpoint is, as one line of JSON.
std::string to_json(const ModelInfo& info);

/// One line a region that the answer names: words (none where no phrase has any), number, box,
/// score, probability.
void list_phrases(std::ostream& out, const ChatResult& answer);

/// Whether the answer is nothing but regions, as those to "Locate ..." are.
bool is_wordless(const ChatResult& answer);

/// The answer's text; of an answer without words the regions that it names.
std::string words_of(const ChatResult& answer);

/// One line for each thing that was pointed at other than by a box: what was taken, and what
/// nearly.
void list_referents(std::ostream& out, const std::vector<Referent>& referents);

/// One line a region: number, box, score.
void list_regions(std::ostream& out, const std::vector<Region>& regions);

}  // namespace groma::cli
