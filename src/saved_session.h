#pragma once

#include <array>
#include <string>
#include <vector>

#include "groma/mask.h"
#include "language/prompt.h"

namespace groma {

/// A conversation as a file keeps it: regions with their numbers and, to the last bit, their
/// places. Features and what the decoder remembers are computed anew.
struct SavedSession {
  struct Region {
    std::array<float, 4> cxcywh = {};  ///< in [0, 1]
    float score = 0;
    bool given = false;
    Mask mask;  ///< of no size where there is none
  };
  std::vector<Region> regions;
  std::vector<Turn> turns;
};

/// More pixels of masks than this are refused in a file, which needs few bytes for many.
inline constexpr std::size_t kMostSavedMaskPixels = 400'000'000;

/// The file's text: one line of JSON, with a checksum of the picture.
std::string to_json(const SavedSession& session, const Image& image);

/// Reads what `to_json` wrote.
///
/// name      stands for the text in messages
/// throws    Error when it is damaged, of another format or about another picture
SavedSession parse_saved_session(const std::string& saved, const Image& image,
                                 const std::string& name);

}  // namespace groma
