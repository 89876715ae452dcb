#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "groma/train.h"
#include "train/worlds/questions.h"

namespace groma::train {

/// An annotated box of a picture.
struct OwnObject {
  std::array<float, 4> xyxy{};  ///< pixels, inside the picture
  std::int32_t kind = -1;       ///< index into OwnImages::kinds; -1: not named
};

/// What an annotation file asks about a picture.
struct OwnQuestion {
  Task task = Task::kRefer;     ///< kRefer, kGround, kCaption, kDescribe or kDialogue
  std::string text;             ///< expression, name of the category, or caption
  std::vector<int> objects;     ///< what the text is about
  std::vector<Exchange> turns;  ///< of a kDialogue; of a kDescribe one without its question
};

struct OwnImage {
  std::string file;   ///< to open
  std::string where;  ///< of its first entry, for messages: "a.json: entry 17"
  int width = 0;      ///< pixels as displayed
  int height = 0;     ///< pixels as displayed
  std::vector<OwnObject> objects;
  std::vector<OwnQuestion> questions;
};

/// The pictures of one annotation file.
struct OwnImages {
  std::vector<OwnImage> images;
  std::vector<std::string> kinds;  ///< names of categories as questions say them
  bool complete = false;           ///< every object of a picture is annotated, as COCO does it
  bool segments = false;           ///< annotated as SA-1B is: everything, parts too
};

/// Reads an annotation file of any kind and gathers what it says of each picture.
///
/// A referring expression, a category of a picture with all its boxes, a region's caption, a
/// caption whose phrases have boxes and a conversation are questions; crowds and boxes narrower
/// than a pixel are left out.
///
/// with_questions  otherwise boxes alone
/// skip_wrong      leaves out what is wrong; otherwise the first mistake is an Error
/// on_note         gets a line on what was read and what was left out; may be empty
/// throws          Error naming file and entry: a box outside its picture, an empty text, a missing
///                 picture, numbers that are not finite, tags that do not fit
OwnImages read_own_images(const DataSource& source, bool with_questions, bool skip_wrong,
                          const std::function<void(const std::string&)>& on_note);

}  // namespace groma::train
