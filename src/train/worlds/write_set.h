#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "train/worlds/scene.h"

namespace groma::train {

/// A set of scenes that is written to a folder.
struct SetOptions {
  std::string folder;       ///< made; must not exist, or be empty
  std::int64_t scenes = 0;  ///< at least 1
  std::uint64_t seed = 0;
  WorldOptions world;
  int threads = 0;  ///< 0: as many as the machine has
};

/// Writes scenes as images/*.png with rec.jsonl, ground.json, caption.jsonl, chat.jsonl,
/// instances.json and meta.json (options, statistics), whole or not at all: files go to a folder
/// beside, which takes the final name at the end and is removed when something goes wrong.
///
/// The same options give the same bytes, whatever `threads` is.
/// on_progress  gets the share that is done, in the calling thread; what it throws ends the work
/// returns      the statistics in a few lines of text
/// throws       Error when an option is wrong, the folder holds something or cannot be written
std::string write_set(const SetOptions& options, const std::function<void(double)>& on_progress);

}  // namespace groma::train
