// Annotation files that are plain lists: MiniGPT-v2's expressions and Visual Genome's regions.

#include "eval/annotations.h"
#include "eval/json_fields.h"
#include "eval/json_reader.h"
#include "eval/json_text.h"
#include "io/file.h"

namespace groma::eval {
namespace {

constexpr PlaceNames kItems = {"items", "items", false};

/// Adds an entry with one box; its id is its place.
void add(Dataset& data, Entry entry, Annotation box) {
  entry.category = box.category = 1;
  box.entry_id = entry.id;
  data.entries.push_back(std::move(entry));
  data.annotations.push_back(std::move(box));
}

void read_item(JsonReader& json, Dataset& data) {
  Entry entry;
  Annotation box;
  std::string img_id;
  unsigned seen = 0;
  json.object([&](std::string_view key) {
    if (key == "img_id") {
      img_id = json.string();
      seen |= 1;
    } else if (key == "sents") {
      entry.text = json.string();
      seen |= 2;
    } else if (key == "bbox") {
      box.bbox = read_xywh(json);
      seen |= 4;
    } else if (key == "height") {
      entry.height = read_side(json);
      seen |= 8;
    } else if (key == "width") {
      entry.width = read_side(json);
      seen |= 16;
    }
  });
  static constexpr std::array kNames = {"img_id", "sents", "bbox", "height", "width"};
  for (unsigned i = 0; i < kNames.size(); ++i) {
    json.demand(seen >> i & 1, "no '", kNames[i], "'; every item needs one");
  }
  const std::size_t bar = img_id.rfind('_');
  json.demand(bar != std::string::npos && bar > 0, "img_id: found ", io::quote(img_id),
              ", expected an image name and a number, as in COCO_train2014_000000580957_4");
  entry.id = static_cast<std::int64_t>(data.entries.size());
  entry.image = img_id.substr(0, bar) + ".jpg";
  entry.task = Task::kRec;
  entry.extra.emplace_back("img_id", json_line(img_id));
  box.id = entry.id + 1;
  add(data, std::move(entry), std::move(box));
}

void read_region(JsonReader& json, Dataset& data) {
  Entry entry;
  Annotation box;
  std::int64_t image = 0;
  unsigned seen = 0;
  const auto number = [&](std::size_t i) {
    box.bbox[i] = json.number();
    seen |= 1u << i;
  };
  json.object([&](std::string_view key) {
    if (key == "x") number(0);
    if (key == "y") number(1);
    if (key == "width") number(2);
    if (key == "height") number(3);
    if (key == "region_id") {
      entry.id = json.integer();
      seen |= 16;
    } else if (key == "image_id") {
      image = json.integer();
      seen |= 32;
    } else if (key == "phrase") {
      box.text = json.string();
      seen |= 64;
    }
  });
  static constexpr std::array kNames = {"x",         "y",        "width", "height",
                                        "region_id", "image_id", "phrase"};
  for (unsigned i = 0; i < kNames.size(); ++i) {
    json.demand(seen >> i & 1, "no '", kNames[i], "'; every region needs one");
  }
  json.demand(box.bbox[2] >= 0 && box.bbox[3] >= 0, "found width ", box.bbox[2], " and height ",
              box.bbox[3], ", expected sizes of 0 or more");
  entry.image = std::to_string(image) + ".jpg";
  entry.task = Task::kCaption;
  entry.extra.emplace_back("image_id", std::to_string(image));
  box.id = static_cast<std::int64_t>(data.annotations.size()) + 1;
  add(data, std::move(entry), std::move(box));
}

Dataset finished(Dataset data, Format format, const std::string& name) {
  data.format = format;
  data.categories.push_back({1, "object", 0, {}});
  finish_dataset(data, name, kItems);
  return data;
}

}  // namespace

Dataset read_minigpt_list(std::string_view text, const std::string& name) {
  JsonReader json(text, name);
  Dataset data;
  json.array([&](std::size_t) { read_item(json, data); });
  json.finish();
  return finished(std::move(data), Format::kMiniGpt, name);
}

Dataset read_visual_genome(std::string_view text, const std::string& name) {
  JsonReader json(text, name);
  Dataset data;
  json.array([&](std::size_t) {
    json.object([&](std::string_view key) {
      if (key == "regions") json.array([&](std::size_t) { read_region(json, data); });
    });
  });
  json.finish();
  return finished(std::move(data), Format::kVisualGenome, name);
}

}  // namespace groma::eval
