#include "eval/dataset.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "check.h"
#include "eval/annotations.h"
#include "io/file.h"

namespace groma::eval {
namespace {

/// Index of each id.
template <typename Item>
std::unordered_map<std::int64_t, std::uint32_t> index_ids(const std::vector<Item>& items,
                                                          const std::string& file,
                                                          const char* list) {
  std::unordered_map<std::int64_t, std::uint32_t> index;
  index.reserve(items.size());
  for (std::uint32_t i = 0; i < items.size(); ++i) {
    const auto [first, fresh] = index.emplace(items[i].id, i);
    require(fresh, "read ", io::quote(file), ": ", list, "[", i, "].id: ", items[i].id,
            " is already the id of ", list, "[", first->second, "]; give every entry its own id");
  }
  return index;
}

/// "3 annotations <what>, the first is annotations[17]".
struct Tally {
  std::size_t count = 0, first = 0;
  void add(std::size_t index) {
    if (count++ == 0) first = index;
  }
  void report(Dataset& dataset, const char* list, const std::string& what) const {
    if (count == 0) return;
    dataset.warnings.push_back(io::quote(dataset.path) + ": " + std::to_string(count) + " of " +
                               std::to_string(dataset.annotations.size()) + " annotations " + what +
                               "; the first is " + list + "[" + std::to_string(first) + "]");
  }
};

}  // namespace

std::string extra_field(const Extra& extra, const std::string& name) {
  for (const auto& [key, text] : extra) {
    if (key == name) return text;
  }
  return "";
}

void finish_dataset(Dataset& dataset, const std::string& name, const PlaceNames& places) {
  dataset.path = name;
  require(!dataset.entries.empty(), "read ", io::quote(name), ": ", places.entries,
          ": the list is empty, expected at least one entry");
  const auto entries = index_ids(dataset.entries, name, places.entries);
  const auto categories = index_ids(dataset.categories, name, "categories");
  index_ids(dataset.annotations, name, places.annotations);
  const bool talks = std::any_of(dataset.entries.begin(), dataset.entries.end(),
                                 [](const Entry& entry) { return entry.task == Task::kChat; });
  if (dataset.annotations.empty() && !talks) {
    dataset.warnings.push_back("the file has no annotation");
  }

  Tally no_area, outside, leaving;
  for (std::size_t i = 0; i < dataset.annotations.size(); ++i) {
    Annotation& box = dataset.annotations[i];
    const auto at = entries.find(box.entry_id);
    require(at != entries.end(), "read ", io::quote(name), ": ", places.annotations, "[", i,
            "].image_id: ", box.entry_id, " is not the id of any entry of ", places.entries);
    box.entry = at->second;
    require(categories.contains(box.category), "read ", io::quote(name), ": ", places.annotations,
            "[", i, "].category_id: ", box.category, " is not the id of any of the ",
            categories.size(), " categories");
    if (box.area < 0) {
      no_area.add(i);
      box.area = box.bbox[2] * box.bbox[3];
    }
    const Entry& entry = dataset.entries[box.entry];
    if (entry.width == 0 || entry.height == 0) continue;
    const double right = box.bbox[0] + box.bbox[2], bottom = box.bbox[1] + box.bbox[3];
    if (right <= 0 || bottom <= 0 || box.bbox[0] >= entry.width || box.bbox[1] >= entry.height) {
      outside.add(i);
    } else if (box.bbox[0] < -1 || box.bbox[1] < -1 || right > entry.width + 1 ||
               bottom > entry.height + 1) {
      leaving.add(i);
    }
  }
  if (places.have_areas)
    no_area.report(dataset, places.annotations, "have no area; taken as width * height of the box");
  outside.report(dataset, places.annotations, "have a box (bbox) wholly outside the image");
  leaving.report(dataset, places.annotations,
                 "have a box (bbox) that leaves the image by more than a pixel");
}

std::string drop_reason(const Entry& entry) {
  if (entry.width == 0 || entry.height == 0) return "";
  return std::min(entry.width, entry.height) < 32 ? "the image is below 32 pixels a side" : "";
}

std::string drop_reason(const Entry& entry, const Annotation& box) {
  if (box.ignore) return "the annotation is to be ignored";
  if (entry.width > 0 && entry.height > 0) {
    const double width =
        std::min(box.bbox[0] + box.bbox[2], double(entry.width)) - std::max(box.bbox[0], 0.0);
    const double height =
        std::min(box.bbox[1] + box.bbox[3], double(entry.height)) - std::max(box.bbox[1], 0.0);
    if (width <= 0 || height <= 0) return "the box does not meet the image";
  }
  if (box.area <= 0) return "the box has no area";
  if (box.bbox[2] < 1 || box.bbox[3] < 1) return "the box is narrower than a pixel";
  return "";
}

void resolve_categories(Dataset& dataset) {
  const auto boxes = annotations_by_entry(dataset);
  std::size_t several = 0, first = 0;
  for (std::size_t i = 0; i < dataset.entries.size(); ++i) {
    Entry& entry = dataset.entries[i];
    if (entry.task != Task::kGround) continue;
    std::unordered_set<std::int64_t> categories;
    for (const std::uint32_t b : boxes[i]) {
      const Annotation& box = dataset.annotations[b];
      if (!drop_reason(entry, box).empty()) continue;
      categories.insert(box.category);
      if (entry.category < 0) entry.category = box.category;
    }
    if (categories.size() > 1 && several++ == 0) first = i;
  }
  if (several == 0) return;
  dataset.warnings.push_back(
      std::to_string(several) + " of " + std::to_string(dataset.entries.size()) +
      " entries hold boxes of more than one category; only one is asked for, the others count as "
      "misses; the first is entry " +
      dataset.entries[first].label());
}

std::vector<std::vector<std::uint32_t>> annotations_by_entry(const Dataset& dataset) {
  std::vector<std::vector<std::uint32_t>> out(dataset.entries.size());
  for (std::uint32_t i = 0; i < dataset.annotations.size(); ++i) {
    out[dataset.annotations[i].entry].push_back(i);
  }
  return out;
}

BoxTruth box_truth(const Dataset& dataset) {
  BoxTruth truth;
  for (const Entry& entry : dataset.entries) {
    truth.images.push_back({entry.id, entry.negative, entry.not_exhaustive});
  }
  for (const Category& category : dataset.categories) {
    truth.categories.push_back({category.id, category.frequency});
  }
  truth.boxes.reserve(dataset.annotations.size());
  for (const Annotation& box : dataset.annotations) {
    truth.boxes.push_back(
        {box.id, box.entry_id, box.category, box.bbox, box.area, box.ignore, box.crowd});
  }
  return truth;
}

}  // namespace groma::eval
