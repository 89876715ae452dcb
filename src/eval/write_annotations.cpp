#include "eval/write_annotations.h"

#include <algorithm>
#include <filesystem>

#include "check.h"
#include "eval/annotations.h"
#include "eval/json_text.h"
#include "io/file.h"

namespace groma::eval {
namespace {

void add_extra(Json& object, const Extra& extra, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const std::string text = extra_field(extra, name);
    if (!text.empty()) object[name] = Json::parse(text);
  }
}

/// Writes the items of a list one by one, so that large files need no tree.
class ListWriter {
 public:
  ListWriter(io::AtomicFile& file, const std::string& before) : file_(file), text_(before + "[") {}
  void add(const Json& item) {
    text_ += first_ ? "\n" : ",\n";
    first_ = false;
    text_ += json_line(item);
    if (text_.size() > (1u << 20)) flush();
  }
  void end(const char* after) {
    text_ += ']';
    text_ += after;
    flush();
  }

 private:
  void flush() {
    file_.write(text_);
    text_.clear();
  }
  io::AtomicFile& file_;
  std::string text_;
  bool first_ = true;
};

/// Whether a name begins with one of COCO's folders, so that it has a place on COCO's server.
bool in_coco_folder(const std::string& image) {
  for (const char* folder : {"train2017/", "val2017/", "test2017/", "train2014/", "val2014/"}) {
    if (image.rfind(folder, 0) == 0) return true;
  }
  return false;
}

/// MDETR's span of a whole text; it counts characters, not bytes.
Json whole_span(const std::string& text) {
  const auto count =
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
  return Json::array({Json::array({0, count})});
}

/// The caption that a file of expressions or captions needs.
std::string need_text(const Dataset& dataset, const Entry& entry,
                      const std::vector<std::uint32_t>& boxes, const char* form) {
  std::string text = query_text(dataset, entry);
  if (text.empty() && !boxes.empty()) text = dataset.annotations[boxes[0]].text;
  require(!text.empty(), "write ", form, ": entry ", entry.label(),
          " has no text; this form needs one for each entry");
  return text;
}

const Annotation& only_box(const Dataset& dataset, const Entry& entry,
                           const std::vector<std::uint32_t>& boxes, const char* form) {
  require(boxes.size() == 1, "write ", form, ": entry ", entry.label(), " has ", boxes.size(),
          " boxes; this form holds exactly one for each entry");
  return dataset.annotations[boxes[0]];
}

void write_minigpt(const Dataset& dataset, const BoxesByEntry& boxes, const std::string& path) {
  io::AtomicFile file(path);
  ListWriter list(file, "");
  for (std::size_t i = 0; i < dataset.entries.size(); ++i) {
    const Entry& entry = dataset.entries[i];
    require(entry.width > 0 && entry.height > 0, "write a minigpt list: entry ", entry.label(),
            " has no width and height");
    Json item;
    const std::string kept = extra_field(entry.extra, "img_id");
    const auto stem = std::filesystem::path(entry.image).stem().string();
    item["img_id"] = kept.empty() ? Json(stem + "_" + std::to_string(i)) : Json::parse(kept);
    item["sents"] = need_text(dataset, entry, boxes[i], "a minigpt list");
    item["bbox"] = only_box(dataset, entry, boxes[i], "a minigpt list").bbox;
    item["height"] = entry.height;
    item["width"] = entry.width;
    list.add(item);
  }
  list.end("\n");
  file.commit();
}

void write_visual_genome(const Dataset& dataset, const BoxesByEntry& boxes,
                         const std::string& path) {
  io::AtomicFile file(path);
  ListWriter list(file, "");
  for (std::size_t i = 0; i < dataset.entries.size(); ++i) {
    const Entry& entry = dataset.entries[i];
    Json regions = Json::array();
    for (const std::uint32_t b : boxes[i]) {
      const Annotation& box = dataset.annotations[b];
      const std::string stem = std::filesystem::path(entry.image).stem().string();
      require(!stem.empty() && stem.find_first_not_of("0123456789") == std::string::npos &&
                  stem.size() < 18,
              "write a vg file: image ", io::quote(entry.image), " of entry ", entry.label(),
              " is not named by a number");
      regions.push_back(
          {{"region_id", entry.id},
           {"image_id", std::stoll(stem)},
           {"x", box.bbox[0]},
           {"y", box.bbox[1]},
           {"width", box.bbox[2]},
           {"height", box.bbox[3]},
           {"phrase",
            box.text.empty() ? need_text(dataset, entry, boxes[i], "a vg file") : box.text}});
    }
    if (regions.empty()) continue;
    list.add({{"id", regions[0]["image_id"]}, {"regions", std::move(regions)}});
  }
  list.end("\n");
  file.commit();
}

}  // namespace

Json category_json(const Category& category) {
  Json out = {{"id", category.id}, {"name", category.name}};
  if (category.frequency) out["frequency"] = std::string(1, category.frequency);
  for (const auto& [name, text] : category.extra) out[name] = Json::parse(text);
  return out;
}

std::string spoken_category(const std::string& name) {
  std::string out = name;
  std::replace(out.begin(), out.end(), '_', ' ');
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  const auto first = out.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return "";
  return out.substr(first, out.find_last_not_of(" \t\r\n") - first + 1);
}

std::string query_text(const Dataset& dataset, const Entry& entry) {
  const bool asks_category = entry.task == Task::kGround || entry.task == Task::kDetect;
  if (!entry.text.empty() || entry.category < 0 || !asks_category) return entry.text;
  for (const Category& category : dataset.categories) {
    if (category.id == entry.category) return spoken_category(category.name);
  }
  return "";
}

void write_coco_shaped(const Dataset& dataset, const BoxesByEntry& boxes, Format format,
                       const std::string& path) {
  const bool expressions = format == Format::kGroma || format == Format::kMdetr;
  const bool federated = format == Format::kLvis;
  io::AtomicFile file(path);
  ListWriter images(file, "{\"images\":");
  for (std::size_t i = 0; i < dataset.entries.size(); ++i) {
    const Entry& entry = dataset.entries[i];
    Json image = {{"id", entry.id}, {"file_name", entry.image}};
    if (entry.width > 0) image["width"] = entry.width;
    if (entry.height > 0) image["height"] = entry.height;
    if (expressions)
      image["caption"] = need_text(dataset, entry, boxes[i], "a file of expressions");
    if (!entry.name.empty()) image["name"] = entry.name;
    if (federated) {
      if (in_coco_folder(entry.image)) image["coco_url"] = std::string(kCocoUrl) + entry.image;
      image["neg_category_ids"] = entry.negative;
      image["not_exhaustive_category_ids"] = entry.not_exhaustive;
    }
    if (format == Format::kMdetr) {
      image["dataset_name"] = "";
      image["tokens_negative"] = whole_span(image["caption"].get<std::string>());
    }
    add_extra(image, entry.extra,
              {"original_id", "dataset_name", "tokens_negative", "img_id", "ref_id", "ann_id",
               "image_id", "split", "raw", "tokens", "kind", "blind"});
    images.add(image);
  }
  images.end(",\n");
  ListWriter annotations(file, "\"annotations\":");
  for (std::size_t i = 0; i < dataset.entries.size(); ++i) {
    const Entry& entry = dataset.entries[i];
    for (const std::uint32_t b : boxes[i]) {
      const Annotation& box = dataset.annotations[b];
      Json item = {{"id", box.id},
                   {"image_id", entry.id},
                   {"bbox", box.bbox},
                   {"area", box.area},
                   {"iscrowd", static_cast<int>(box.crowd)},
                   {"category_id", box.category}};
      if (box.ignore) item["ignore"] = 1;
      if (format == Format::kCaptions) {
        item["caption"] =
            box.text.empty() ? need_text(dataset, entry, boxes[i], "region captions") : box.text;
      } else if (!box.text.empty()) {
        item["caption"] = box.text;
      }
      if (format == Format::kMdetr) {
        item["tokens_positive"] = whole_span(query_text(dataset, entry));
      }
      add_extra(item, box.extra, {"original_id", "dataset_name", "tokens_positive"});
      annotations.add(item);
    }
  }
  annotations.end(",\n");
  ListWriter categories(file, "\"categories\":");
  for (const Category& category : dataset.categories) categories.add(category_json(category));
  categories.end("}\n");
  file.commit();
}

void write_annotations(const Dataset& dataset, Format format, const std::string& path,
                       const std::string& instances) {
  const BoxesByEntry boxes = annotations_by_entry(dataset);
  switch (format) {
    case Format::kMiniGpt:
      return write_minigpt(dataset, boxes, path);
    case Format::kVisualGenome:
      return write_visual_genome(dataset, boxes, path);
    case Format::kRefer:
      return write_refer(dataset, boxes, path, instances);
    case Format::kJsonl:
      return write_jsonl(dataset, boxes, path);
    case Format::kAuto:
      require(false, "convert annotations: name the form to write with --to");
      return;
    default:
      return write_coco_shaped(dataset, boxes, format, path);
  }
}

ConvertResult convert_annotations(const AnnotationFile& from, Format to, const std::string& path,
                                  const std::string& instances) {
  Dataset dataset = read_annotations(from);
  resolve_categories(dataset);
  write_annotations(dataset, to, path, instances);
  return {dataset.format, dataset.entries.size(), dataset.annotations.size(),
          std::move(dataset.warnings)};
}

}  // namespace groma::eval
