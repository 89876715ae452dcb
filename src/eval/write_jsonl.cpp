#include <algorithm>
#include <unordered_map>

#include "eval/task_names.h"
#include "eval/write_annotations.h"
#include "io/file.h"

namespace groma::eval {
namespace {

constexpr std::size_t kFlushBytes = 1 << 20;

class Writer {
 public:
  Writer(const Dataset& dataset, const BoxesByEntry& boxes) : dataset_(dataset) {
    for (const Category& category : dataset.categories) categories_[category.id] = &category;
    // Numbers that run from 1 need not be written: reading gives them again.
    std::int64_t running = 0;
    for (const auto& of_entry : boxes) {
      for (const std::uint32_t b : of_entry) own_ids_ |= dataset.annotations[b].id != ++running;
    }
  }

  std::string line(const Entry& entry, const std::vector<std::uint32_t>& places) const {
    std::vector<const Annotation*> boxes;
    for (const std::uint32_t place : places) boxes.push_back(&dataset_.annotations[place]);
    Json line;
    line["id"] = entry.name.empty() ? Json(entry.id) : Json(entry.name);
    line["image"] = entry.image;
    if (entry.width > 0) line["width"] = entry.width;
    if (entry.height > 0) line["height"] = entry.height;
    line["task"] = name_of(entry.task);
    const std::string query = query_text(dataset_, entry);
    if (!query.empty()) line["text"] = query;
    add_boxes(entry, boxes, line);
    add_categories(entry, boxes, line);
    if (entry.federated) line["neg_category_ids"] = entry.negative;
    if (!entry.not_exhaustive.empty()) line["not_exhaustive_category_ids"] = entry.not_exhaustive;
    for (const auto& [name, text] : entry.extra) line[name] = Json::parse(text);
    return json_line(line) + "\n";
  }

 private:
  using Boxes = std::vector<const Annotation*>;

  /// A list beside the boxes, where any of them differs from what reading assumes.
  template <typename Get, typename Needed>
  static void add_list(const Boxes& boxes, const char* name, Get get, Needed needed, Json& line) {
    if (std::none_of(boxes.begin(), boxes.end(), [&](const auto* box) { return needed(*box); })) {
      return;
    }
    Json list = Json::array();
    for (const Annotation* box : boxes) list.push_back(get(*box));
    line[name] = std::move(list);
  }

  void add_boxes(const Entry& entry, const Boxes& boxes, Json& line) const {
    // Captions of one box are its references; other texts name each box.
    const bool one_box = entry.task == Task::kCaption && !boxes.empty() &&
                         std::all_of(boxes.begin(), boxes.end(), [&](const auto* box) {
                           return box->bbox == boxes[0]->bbox && !box->text.empty();
                         });
    Json list = Json::array();
    for (std::size_t i = 0; i < (one_box ? 1 : boxes.size()); ++i) list.push_back(boxes[i]->bbox);
    line["boxes"] = std::move(list);
    line["box_format"] = "xywh";
    line["box_unit"] = "px";
    const auto text = [](const Annotation& box) { return box.text; };
    add_list(
        boxes, one_box ? "refs" : "phrases", text,
        [](const Annotation& box) { return !box.text.empty(); }, line);
    add_list(
        boxes, "areas", [](const Annotation& box) { return box.area; },
        [](const Annotation& box) { return box.area != box.bbox[2] * box.bbox[3]; }, line);
    add_list(
        boxes, "annotation_ids", [](const Annotation& box) { return box.id; },
        [&](const Annotation&) { return own_ids_; }, line);
    add_list(
        boxes, "ignore", [](const Annotation& box) { return static_cast<int>(box.ignore); },
        [](const Annotation& box) { return box.ignore; }, line);
    add_list(
        boxes, "iscrowd", [](const Annotation& box) { return static_cast<int>(box.crowd); },
        [](const Annotation& box) { return box.crowd; }, line);
    add_list(
        boxes, "annotation_extra",
        [](const Annotation& box) {
          Json extra = Json::object();
          for (const auto& [name, raw] : box.extra) extra[name] = Json::parse(raw);
          return extra;
        },
        [](const Annotation& box) { return !box.extra.empty(); }, line);
  }

  void add_categories(const Entry& entry, const Boxes& boxes, Json& line) const {
    const std::int64_t asked = entry.category >= 0 ? entry.category
                               : boxes.empty()     ? -1
                                                   : boxes[0]->category;
    if (asked < 0) return;
    line["category_id"] = asked;
    add_list(
        boxes, "category_ids", [](const Annotation& box) { return box.category; },
        [&](const Annotation& box) { return box.category != asked; }, line);
    std::vector<std::int64_t> used = {asked};
    for (const Annotation* box : boxes) {
      if (std::find(used.begin(), used.end(), box->category) == used.end()) {
        used.push_back(box->category);
      }
    }
    Json named = Json::array();
    for (const std::int64_t id : used) {
      const auto known = categories_.find(id);
      if (known != categories_.end()) named.push_back(category_json(*known->second));
    }
    line["categories"] = std::move(named);
  }

  const Dataset& dataset_;
  std::unordered_map<std::int64_t, const Category*> categories_;
  bool own_ids_ = false;
};

}  // namespace

void write_jsonl(const Dataset& dataset, const BoxesByEntry& boxes, const std::string& path) {
  const Writer writer(dataset, boxes);
  io::AtomicFile file(path);
  std::string text;
  for (std::size_t i = 0; i < dataset.entries.size(); ++i) {
    text += writer.line(dataset.entries[i], boxes[i]);
    if (text.size() < kFlushBytes) continue;
    file.write(text);
    text.clear();
  }
  file.write(text);
  file.commit();
}

}  // namespace groma::eval
