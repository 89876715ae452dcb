#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "args.h"
#include "groma/formats.h"

namespace groma::cli {

/// The pictures that a command is asked about, and where what is found goes.
struct PictureArgs {
  std::vector<std::string> images;  ///< files, folders, lists; "-" is standard input
  std::string drawing;              ///< file of the drawing of one picture
  std::string folder;               ///< of the answers about several pictures
  bool resume = false;
  std::string draw;  ///< extension of the drawings in the folder, empty for none

  std::string image() const { return images.empty() ? "" : images.front(); }
  /// Whether the pictures are more than one file, or are to be treated like that.
  bool many() const;
};

/// --image, -o, --out, --resume, --draw.
///
/// returns   --image
CLI::Option* add_pictures(CLI::App& command, PictureArgs& args);

/// Throws CLI::ValidationError where the options do not go together.
void check_usage(const PictureArgs& args);

/// A picture by its path, and by the name that results call it.
struct PictureFile {
  std::string path;
  std::string name;
};

/// The pictures that arguments stand for, in order: a file; a folder, with all that is below it; or
/// "@FILE", a list with a picture in each line. Pictures of a folder are named relative to it, or
/// with it where there are other arguments. The folder of the answers is left out.
///
/// throws    Error when there is nothing there, or a picture stands twice
std::vector<PictureFile> list_pictures(const PictureArgs& args);

/// One question asked about many pictures, the answers kept in a folder.
struct FolderRun {
  PictureArgs args;
  std::vector<PictureFile> pictures;
  std::optional<Format> format;  ///< written besides answers.jsonl
  std::string label;             ///< see to_format
  nlohmann::ordered_json asked;  ///< all that decides the answers: the same where a run goes on
  std::function<void(const std::string& path, const Image&, const ImageAnswer&)> save = save_answer;
};

/// The command, its model and what chooses the regions, for FolderRun::asked.
nlohmann::ordered_json decided_by(const std::string& command, const ModelArgs& model,
                                  const RegionOptions& regions);

/// Answers what the folder does not hold yet; an answer is on the disk as soon as it is given.
/// Pictures that fail are reported and left out.
///
/// throws    Error when the folder holds answers and is not to be resumed, or was asked otherwise;
///           ExitStatus 3 at the end when pictures failed
void answer_folder(const FolderRun& run,
                   const std::function<ImageAnswer(const PictureFile&, const Image&)>& answer);

}  // namespace groma::cli
