// Our own interchange form: one object a line.

#include <cmath>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "check.h"
#include "eval/annotations.h"
#include "eval/json_fields.h"
#include "eval/json_reader.h"
#include "eval/json_text.h"
#include "eval/task_names.h"
#include "io/file.h"

namespace groma::eval {
namespace {

constexpr std::array<std::string_view, 13> kKept = {
    "kind",   "blind",    "original_id", "dataset_name", "tokens_negative", "img_id", "ref_id",
    "ann_id", "image_id", "split",       "raw",          "tokens",          "turns"};

/// What a line says of all its boxes, before it is known how they are written.
struct Line {
  Entry entry;
  std::int64_t category = -1;
  std::vector<std::vector<double>> boxes;
  std::string format = "xyxy", unit = "px";
  std::vector<std::string> refs, phrases;
  std::vector<double> areas;
  std::vector<std::int64_t> ids, categories, ignore, crowd;
  std::vector<Extra> extras;
  bool text_id = false;
};

class Reader {
 public:
  Reader(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  Dataset read() {
    std::size_t number = 0;
    for (std::size_t at = 0; at < text_.size();) {
      const std::size_t end = std::min(text_.find('\n', at), text_.size());
      const std::string_view line = text_.substr(at, end - at);
      at = end + 1;
      ++number;
      if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
      read_line(line, number);
    }
    name_entries();
    number_annotations();
    for (const std::int64_t id : used_) {
      if (!known_.contains(id)) data_.categories.push_back({id, id == 1 ? "object" : "", 0, {}});
    }
    data_.format = Format::kJsonl;
    finish_dataset(data_, name_, {"lines", "boxes", false});
    return std::move(data_);
  }

 private:
  void read_line(std::string_view text, std::size_t number) {
    JsonReader json(text, name_ + ":" + std::to_string(number));
    Line line;
    bool has_id = false;
    json.object([&](std::string_view key) {
      has_id |= key == "id";
      read_member(json, key, line);
    });
    json.finish();
    json.demand(has_id, "no 'id'; every line needs one");
    json.demand(!line.entry.image.empty(), "no 'image'; every line needs one");
    json.demand(names_.insert(line.entry.label()).second, "id: ", io::quote(line.entry.label()),
                " came before; give every line its own id");
    text_ids_ |= line.text_id;
    line.entry.category = line.category;
    add(json, std::move(line));
  }

  void read_member(JsonReader& json, std::string_view key, Line& line) {
    Entry& entry = line.entry;
    if (key == "id") {
      line.text_id = json.peek() == JsonReader::Kind::kString;
      if (line.text_id) {
        entry.name = json.string();
        json.demand(!entry.name.empty(), "found an empty text, expected a name or number");
      } else {
        entry.id = json.integer();
      }
    } else if (key == "image") {
      entry.image = json.string();
    } else if (key == "width" || key == "height") {
      (key == "width" ? entry.width : entry.height) = read_side(json);
    } else if (key == "task") {
      const std::string name = json.string();
      const auto task = task_named(name);
      json.demand(task.has_value(), "found ", io::quote(name),
                  ", expected rec, ground, caption, chat or detect");
      entry.task = *task;
    } else if (key == "text") {
      entry.text = json.string();
    } else if (key == "neg_category_ids") {
      entry.negative = json.integers();
      entry.federated = true;
    } else if (key == "not_exhaustive_category_ids") {
      entry.not_exhaustive = json.integers();
    } else if (std::find(kKept.begin(), kKept.end(), key) != kKept.end()) {
      const std::string field(key);
      entry.extra.emplace_back(field, json.raw());
    } else {
      read_box_member(json, key, line);
    }
  }

  void read_box_member(JsonReader& json, std::string_view key, Line& line) {
    if (key == "boxes") {
      json.array([&](std::size_t) {
        line.boxes.push_back(json.numbers());
        json.demand(line.boxes.back().size() == 4, "found ", line.boxes.back().size(),
                    " numbers, expected 4");
      });
    } else if (key == "box_format") {
      line.format = json.string();
      json.demand(line.format == "xyxy" || line.format == "xywh" || line.format == "cxcywh",
                  "found ", io::quote(line.format), ", expected xyxy, xywh or cxcywh");
    } else if (key == "box_unit") {
      line.unit = json.string();
      json.demand(line.unit == "px" || line.unit == "norm" || line.unit == "1000", "found ",
                  io::quote(line.unit), ", expected px, norm or 1000");
    } else if (key == "category_id") {
      line.category = json.integer();
    } else if (key == "categories") {
      json.array([&](std::size_t) { read_category(json); });
    } else if (key == "refs") {
      line.refs = json.strings();
    } else if (key == "phrases") {
      line.phrases = json.strings();
    } else if (key == "areas") {
      line.areas = json.numbers();
    } else if (key == "annotation_ids") {
      line.ids = json.integers();
    } else if (key == "category_ids") {
      line.categories = json.integers();
    } else if (key == "ignore") {
      line.ignore = json.integers();
    } else if (key == "iscrowd") {
      line.crowd = json.integers();
    } else if (key == "annotation_extra") {
      json.array([&](std::size_t) {
        Extra extra;
        json.object([&](std::string_view name) {
          const std::string field(name);
          extra.emplace_back(field, json.raw());
        });
        line.extras.push_back(std::move(extra));
      });
    }
  }

  void read_category(JsonReader& json) {
    Category category;
    bool has_id = false;
    json.object([&](std::string_view key) {
      if (key == "id") {
        category.id = json.integer();
        has_id = true;
      } else if (key == "name") {
        category.name = json.string();
      } else if (key == "frequency") {
        const std::string value = json.string();
        json.demand(value == "r" || value == "c" || value == "f", "found ", io::quote(value),
                    ", expected r, c or f");
        category.frequency = value[0];
      } else {
        const std::string field(key);
        category.extra.emplace_back(field, json.raw());
      }
    });
    json.demand(has_id, "no 'id'");
    const auto [at, fresh] = known_.emplace(category.id, data_.categories.size());
    if (!fresh) {
      const Category& first = data_.categories[at->second];
      json.demand(first.name == category.name && first.frequency == category.frequency, "category ",
                  category.id, " is ", io::quote(category.name), " here and ",
                  io::quote(first.name), " on an earlier line");
      return;
    }
    data_.categories.push_back(std::move(category));
  }

  /// Pixels, x, y, width, height.
  XywhBox to_xywh(const JsonReader& json, const Line& line, std::vector<double> v) const {
    if (line.unit != "px") {
      json.demand(line.entry.width > 0 && line.entry.height > 0, "boxes: box_unit is ", line.unit,
                  ", which needs width and height of the image");
      const double scale = line.unit == "norm" ? 1.0 : 1000.0;
      for (std::size_t i = 0; i < 4; ++i) {
        v[i] = v[i] / scale * (i % 2 == 0 ? line.entry.width : line.entry.height);
      }
    }
    XywhBox box = {v[0], v[1], v[2], v[3]};
    if (line.format == "xyxy") box = {v[0], v[1], v[2] - v[0], v[3] - v[1]};
    if (line.format == "cxcywh") box = {v[0] - v[2] / 2, v[1] - v[3] / 2, v[2], v[3]};
    json.demand(box[2] >= 0 && box[3] >= 0, "boxes: found width ", box[2], " and height ", box[3],
                " in format ", line.format, ", expected sizes of 0 or more");
    return box;
  }

  void add(const JsonReader& json, Line line) {
    // Several captions of one box are several annotations.
    const bool one_box = line.entry.task == Task::kCaption && line.boxes.size() == 1;
    if (one_box && line.refs.empty() && !line.entry.text.empty()) line.refs = {line.entry.text};
    const std::size_t count = one_box && !line.refs.empty() ? line.refs.size() : line.boxes.size();
    const auto check = [&](std::size_t size, const char* field) {
      json.demand(size == 0 || size == count, field, ": found ", size, " for ", count, " boxes");
    };
    check(line.phrases.size(), "phrases");
    check(line.areas.size(), "areas");
    check(line.ids.size(), "annotation_ids");
    check(line.categories.size(), "category_ids");
    check(line.ignore.size(), "ignore");
    check(line.crowd.size(), "iscrowd");
    check(line.extras.size(), "annotation_extra");
    all_ids_ &= count == 0 || !line.ids.empty();
    for (std::size_t i = 0; i < count; ++i) {
      Annotation box;
      box.entry = static_cast<std::uint32_t>(data_.entries.size());
      box.bbox = to_xywh(json, line, line.boxes[one_box ? 0 : i]);
      if (!line.areas.empty()) box.area = line.areas[i];
      if (!line.ids.empty()) box.id = line.ids[i];
      if (!line.ignore.empty()) box.ignore = line.ignore[i] != 0;
      if (!line.crowd.empty()) box.crowd = line.crowd[i] != 0;
      if (!line.extras.empty()) box.extra = std::move(line.extras[i]);
      if (!line.phrases.empty()) box.text = line.phrases[i];
      if (one_box && !line.refs.empty()) box.text = line.refs[i];
      box.category = line.category >= 0 ? line.category : 1;
      if (!line.categories.empty()) box.category = line.categories[i];
      used_.insert(box.category);
      data_.annotations.push_back(std::move(box));
    }
    if (line.category >= 0) used_.insert(line.category);
    data_.entries.push_back(std::move(line.entry));
  }

  /// Ids are numbers where all lines have numbers; else places, and the names are kept.
  void name_entries() {
    for (std::size_t i = 0; i < data_.entries.size() && text_ids_; ++i) {
      Entry& entry = data_.entries[i];
      entry.name = entry.label();
      entry.id = static_cast<std::int64_t>(i);
    }
    for (Annotation& box : data_.annotations) box.entry_id = data_.entries[box.entry].id;
  }

  void number_annotations() {
    for (std::size_t i = 0; i < data_.annotations.size() && !all_ids_; ++i) {
      data_.annotations[i].id = static_cast<std::int64_t>(i) + 1;
    }
  }

  std::string_view text_;
  const std::string& name_;
  Dataset data_;
  std::unordered_set<std::string> names_;
  std::unordered_map<std::int64_t, std::size_t> known_;  // categories that a line describes
  std::set<std::int64_t> used_;
  bool text_ids_ = false;
  bool all_ids_ = true;
};

}  // namespace

Dataset read_jsonl(std::string_view text, const std::string& name) {
  return Reader(text, name).read();
}

}  // namespace groma::eval
