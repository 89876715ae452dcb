#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "groma/evaluate.h"

namespace groma::eval {

/// Where COCO's files are on the net; what follows is the path below the COCO root.
inline constexpr std::string_view kCocoUrl = "http://images.cocodataset.org/";

/// Fields that a file has and its kind needs, but we do not: name and JSON text, given back when
/// the data are written again.
using Extra = std::vector<std::pair<std::string, std::string>>;

/// JSON text of a field; empty when it is not there.
std::string extra_field(const Extra& extra, const std::string& name);

enum class Task { kRec, kGround, kCaption, kChat, kDetect };

/// One question about one image. What annotation files list under `images`.
struct Entry {
  std::int64_t id = 0;
  std::string name;   ///< where the file names its entries by text; else empty
  std::string image;  ///< file name as given
  int width = 0;      ///< pixels; 0: not given
  int height = 0;
  std::string text;  ///< expression or question; empty where the annotations hold the text
  std::int64_t category = -1;  ///< asked for; -1: none
  std::vector<std::int64_t> negative;
  std::vector<std::int64_t> not_exhaustive;
  bool federated = false;  ///< has a `neg_category_ids`
  Task task = Task::kDetect;
  Extra extra;

  /// What keys and messages call this entry.
  std::string label() const { return name.empty() ? std::to_string(id) : name; }
};

/// A box with what is said of it.
struct Annotation {
  std::int64_t id = 0;
  std::int64_t entry_id = 0;
  std::uint32_t entry = 0;  ///< index into Dataset::entries
  std::int64_t category = 0;
  XywhBox bbox{};
  double area = -1;  ///< pixels; w * h where the file has none
  bool ignore = false;
  bool crowd = false;
  std::string text;  ///< caption of the region, or the phrase that names it
  Extra extra;
};

struct Category {
  std::int64_t id = 0;
  std::string name;
  char frequency = 0;  ///< 'r', 'c', 'f'; 0: not given
  Extra extra;
};

/// An annotation file of any kind. Every id is known and comes once, every number is finite.
struct Dataset {
  std::string path;
  Format format = Format::kCoco;
  std::vector<Entry> entries;
  std::vector<Annotation> annotations;
  std::vector<Category> categories;
  std::vector<std::string> warnings;
  bool fractions = false;  ///< boxes are in parts of the picture's sides, not pixels
};

/// Why an image or annotation takes no part; empty: it does.
///
/// source    as mmdet's CocoDataset, which the original trains and tests with: images below 32
/// pixels a side; boxes that are
///           ignored, outside the image, without area, or narrower than a pixel
std::string drop_reason(const Entry& entry);
std::string drop_reason(const Entry& entry, const Annotation& box);

/// Lets every entry that asks for a category ask for that of its first annotation that takes part,
/// and warns of entries that hold several.
void resolve_categories(Dataset& dataset);

/// Places of the annotations of each entry, in the order of the file.
std::vector<std::vector<std::uint32_t>> annotations_by_entry(const Dataset& dataset);

/// What the box metrics compare with.
BoxTruth box_truth(const Dataset& dataset);

}  // namespace groma::eval
