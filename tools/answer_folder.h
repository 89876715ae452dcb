#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "groma/formats.h"

namespace groma::cli {

/// A picture by its path, and by the name that results call it.
struct PictureFile {
  std::string path;
  std::string name;
};

/// The pictures that arguments stand for, in order: a file; a folder, with all that is below it; or
/// "@FILE", a list with a picture in each line. In folders names are relative to the folder.
///
/// throws    Error when there is nothing there, or a picture stands twice
std::vector<PictureFile> list_pictures(const std::vector<std::string>& arguments,
                                       const std::string& except_folder);

/// One question asked about many pictures, the answers kept in a folder.
struct FolderRun {
  std::string folder;
  bool resume = false;
  std::string draw;              ///< extension of the drawings, empty for none
  std::optional<Format> format;  ///< written besides answers.jsonl
  std::string label;             ///< see to_format
  nlohmann::ordered_json asked;  ///< all that decides the answers: the same where a run goes on
  std::vector<PictureFile> pictures;
};

/// Answers what the folder does not hold yet; an answer is on the disk as soon as it is given.
/// Pictures that fail are reported and left out.
///
/// returns   how many failed
/// throws    Error when the folder holds answers and is not to be resumed, or was asked otherwise
int answer_folder(const FolderRun& run,
                  const std::function<ImageAnswer(const PictureFile&, const Image&)>& answer);

}  // namespace groma::cli
