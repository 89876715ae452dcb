#pragma once

#include <string>
#include <vector>

namespace groma::train {

/// What a model begins with that has no weights yet.
struct StartOptions {
  std::string config;              ///< config.json of the model
  std::string folder;              ///< to write; new or empty
  std::vector<std::string> texts;  ///< files to learn pieces from, a sentence a line
  std::string world;               ///< shapes, things or both: its sentences too; empty: none
  int scenes = 500;                ///< of the world
};

/// Writes config.json and a tokenizer that has learnt its pieces, as many as config.json says.
///
/// The words that surround every conversation are learnt along. The same options give the same
/// bytes.
/// throws  Error when a file cannot be read, the folder holds something, or config.json is wrong
void write_start_folder(const StartOptions& options);

}  // namespace groma::train
