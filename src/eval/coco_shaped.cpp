// COCO-shaped files: objects with `images`, `annotations` and `categories`.

#include <algorithm>

#include "eval/annotations.h"
#include "eval/json_fields.h"
#include "eval/json_reader.h"
#include "io/file.h"

namespace groma::eval {
namespace {

template <std::size_t N>
bool one_of(std::string_view key, const std::array<std::string_view, N>& names) {
  return std::find(names.begin(), names.end(), key) != names.end();
}

constexpr std::array<std::string_view, 12> kImageExtras = {
    "original_id", "dataset_name", "tokens_negative", "img_id", "ref_id", "split", "image_id",
    "ann_id",      "raw",          "tokens",          "kind",   "blind"};
constexpr std::array<std::string_view, 3> kAnnotationExtras = {"original_id", "dataset_name",
                                                               "tokens_positive"};

/// What a file has tells its kind.
struct Signs {
  bool federated = false, mdetr = false, entry_caption = false, annotation_caption = false;
};

class Reader {
 public:
  Reader(std::string_view text, const std::string& name) : json_(text, name), name_(name) {}

  Dataset read(Format format) {
    bool images = false, annotations = false;
    json_.object([&](std::string_view key) {
      if (key == "images") {
        images = true;
        json_.array([&](std::size_t) { read_image(); });
      } else if (key == "annotations") {
        annotations = true;
        json_.array([&](std::size_t) { read_annotation(); });
      } else if (key == "categories") {
        json_.array([&](std::size_t) { read_category(); });
      }
    });
    json_.finish();
    json_.demand(images, "no 'images'; expected a COCO-shaped file with images and annotations");
    json_.demand(annotations, "no 'annotations'; expected a COCO-shaped file");
    data_.format = format == Format::kAuto ? kind() : format;
    assign_texts();
    add_single_category();
    finish_dataset(data_, name_);
    return std::move(data_);
  }

 private:
  void read_image() {
    Entry entry;
    bool has_id = false;
    std::string file_name, url;
    json_.object([&](std::string_view key) {
      if (key == "id") {
        entry.id = json_.integer();
        has_id = true;
      } else if (key == "file_name") {
        file_name = json_.string();
      } else if (key == "coco_url") {
        url = json_.string();
      } else if (key == "width") {
        entry.width = read_side(json_);
      } else if (key == "height") {
        entry.height = read_side(json_);
      } else if (key == "caption") {
        entry.text = json_.string();
        signs_.entry_caption = true;
      } else if (key == "name") {
        entry.name = json_.string();
      } else if (key == "neg_category_ids") {
        entry.negative = json_.integers();
        entry.federated = signs_.federated = true;
      } else if (key == "not_exhaustive_category_ids") {
        entry.not_exhaustive = json_.integers();
        signs_.federated = true;
      } else if (one_of(key, kImageExtras)) {
        signs_.mdetr |= key == "dataset_name" || key == "tokens_negative";
        const std::string field(key);
        entry.extra.emplace_back(field, json_.raw());
      }
    });
    json_.demand(has_id, "no 'id'; every image entry needs one");
    // LVIS names no file, but the place on COCO's server, whose path is that below the COCO root.
    const bool at_coco = url.starts_with(kCocoUrl) && url.size() > kCocoUrl.size();
    if (at_coco && (file_name.empty() || signs_.federated)) {
      entry.image = url.substr(kCocoUrl.size());
    } else {
      entry.image = file_name;
    }
    data_.entries.push_back(std::move(entry));
  }

  void read_annotation() {
    Annotation box;
    bool has_id = false, has_image = false, has_box = false, has_category = false;
    json_.object([&](std::string_view key) {
      if (key == "id") {
        box.id = json_.integer();
        has_id = true;
      } else if (key == "image_id") {
        box.entry_id = json_.integer();
        has_image = true;
      } else if (key == "category_id") {
        box.category = json_.integer();
        has_category = true;
      } else if (key == "bbox") {
        box.bbox = read_xywh(json_);
        has_box = true;
      } else if (key == "area") {
        box.area = json_.number();
        json_.demand(box.area >= 0, "found ", box.area, ", expected an area of 0 or more");
      } else if (key == "ignore") {
        box.ignore = json_.flag();
      } else if (key == "iscrowd") {
        box.crowd = json_.flag();
      } else if (key == "caption") {
        box.text = json_.string();
        signs_.annotation_caption = true;
      } else if (one_of(key, kAnnotationExtras)) {
        signs_.mdetr |= key == "tokens_positive";
        const std::string field(key);
        box.extra.emplace_back(field, json_.raw());
      }
    });
    json_.demand(has_id, "no 'id'; every annotation needs one");
    json_.demand(has_image, "no 'image_id'; every annotation needs one");
    json_.demand(has_box, "no 'bbox'; every annotation needs [x, y, width, height]");
    uncategorised_ += !has_category;
    if (!has_category && first_uncategorised_.empty()) first_uncategorised_ = json_.where();
    data_.annotations.push_back(std::move(box));
  }

  void read_category() {
    Category category;
    bool has_id = false;
    json_.object([&](std::string_view key) {
      if (key == "id") {
        category.id = json_.integer();
        has_id = true;
      } else if (key == "name") {
        category.name = json_.string();
      } else if (key == "frequency") {
        const std::string value = json_.string();
        json_.demand(value == "r" || value == "c" || value == "f", "found ", io::quote(value),
                     ", expected r, c or f");
        category.frequency = value[0];
        signs_.federated = true;
      } else {
        const std::string field(key);
        category.extra.emplace_back(field, json_.raw());
      }
    });
    json_.demand(has_id, "no 'id'; every category needs one");
    data_.categories.push_back(std::move(category));
  }

  Format kind() const {
    if (signs_.federated) return Format::kLvis;
    if (signs_.mdetr) return Format::kMdetr;
    if (signs_.entry_caption) return Format::kGroma;
    if (signs_.annotation_caption) return Format::kCaptions;
    return Format::kCoco;
  }

  void assign_texts() {
    Task task = Task::kDetect;
    if (data_.format == Format::kGroma || data_.format == Format::kMdetr) task = Task::kRec;
    if (data_.format == Format::kLvis) task = Task::kGround;
    if (data_.format == Format::kCaptions) task = Task::kCaption;
    std::size_t unfederated = 0;
    for (Entry& entry : data_.entries) {
      entry.task = task;
      unfederated += !entry.federated;
    }
    if (data_.format == Format::kLvis && unfederated > 0) {
      data_.warnings.push_back(std::to_string(unfederated) + " of " +
                               std::to_string(data_.entries.size()) +
                               " image entries have no neg_category_ids; taken as empty");
    }
  }

  void add_single_category() {
    if (uncategorised_ == 0) return;
    const bool none = uncategorised_ == data_.annotations.size() && data_.categories.empty();
    json_.demand(none || data_.categories.size() == 1, first_uncategorised_,
                 ": no 'category_id', and the file has ", data_.categories.size(), " categories");
    if (none) data_.categories.push_back({1, "object", 0, {}});
    const std::int64_t only = data_.categories[0].id;
    for (Annotation& box : data_.annotations) box.category = only;
    data_.warnings.push_back(std::to_string(uncategorised_) +
                             " annotations have no category_id; taken as the only category");
  }

  JsonReader json_;
  const std::string& name_;
  Dataset data_;
  Signs signs_;
  std::size_t uncategorised_ = 0;
  std::string first_uncategorised_;
};

}  // namespace

Dataset read_coco_shaped(std::string_view text, const std::string& name, Format format) {
  return Reader(text, name).read(format);
}

std::vector<DetectedBox> read_detections(std::string_view text, const std::string& name) {
  JsonReader json(text, name);
  std::vector<DetectedBox> out;
  json.array([&](std::size_t) {
    DetectedBox box;
    unsigned seen = 0;
    json.object([&](std::string_view key) {
      if (key == "image_id") {
        box.image = json.integer();
        seen |= 1;
      } else if (key == "category_id") {
        box.category = json.integer();
        seen |= 2;
      } else if (key == "bbox") {
        std::size_t count = 0;
        json.array([&](std::size_t i) {
          box.bbox[std::min<std::size_t>(i, 3)] = json.number();
          ++count;
        });
        json.demand(count == 4, "found ", count, " numbers, expected [x, y, width, height]");
        seen |= 4;
      } else if (key == "score") {
        box.score = json.number();
        seen |= 8;
      }
    });
    static constexpr std::array kNames = {"image_id", "category_id", "bbox", "score"};
    for (unsigned i = 0; i < kNames.size(); ++i) {
      json.demand(seen >> i & 1, "no '", kNames[i], "'; every detection needs one");
    }
    out.push_back(box);
  });
  json.finish();
  return out;
}

}  // namespace groma::eval
