// GRIT: captions of pictures, and which parts of them are seen where.
//
// source    Groma groma/data/datasets/grit.py; Kosmos-2, "GRIT" (its card: ref_exps are begin, end,
//           x1, y1, x2, y2 and a score)

#include <cmath>
#include <map>

#include "eval/annotations.h"
#include "eval/json_reader.h"
#include "io/file.h"

namespace groma::eval {
namespace {

struct Record {
  std::string image, caption;
  std::vector<std::vector<double>> expressions;
};

Record read_record(JsonReader& json) {
  Record record;
  json.object([&](std::string_view key) {
    if (key == "filename") {
      record.image = json.string();
    } else if (key == "caption") {
      record.caption = json.string();
    } else if (key == "ref_exps") {
      json.array([&](std::size_t) {
        record.expressions.push_back(json.numbers());
        json.demand(record.expressions.back().size() >= 6, "found ",
                    record.expressions.back().size(),
                    " numbers, expected [begin, end, x1, y1, x2, y2]");
      });
    }
  });
  json.demand(!record.image.empty(), "no 'filename'; every record needs one");
  return record;
}

/// Adds an entry for each different phrase of a caption, with all its boxes.
void add_phrases(const JsonReader& json, const Record& record, std::size_t index, Dataset& data) {
  const auto starts = character_starts(record.caption);
  std::map<std::pair<double, double>, std::int64_t> phrases;  // range -> entry
  for (const auto& e : record.expressions) {
    const bool inside = std::trunc(e[0]) == e[0] && std::trunc(e[1]) == e[1] && e[0] >= 0 &&
                        e[0] < e[1] && e[1] < static_cast<double>(starts.size());
    json.demand(inside, "ref_exps: found the range ", e[0], " to ", e[1], " of a caption of ",
                starts.size() - 1, " characters");
    const XywhBox bbox = {e[2], e[3], e[4] - e[2], e[5] - e[3]};
    json.demand(has_size(bbox), "ref_exps: found a box of width ", bbox[2], " and height ", bbox[3],
                ", expected x1 <= x2 and y1 <= y2");
    const auto [at, fresh] = phrases.emplace(std::pair(e[0], e[1]), data.entries.size());
    if (fresh) {
      const std::size_t begin = starts[static_cast<std::size_t>(e[0])];
      const std::size_t end = starts[static_cast<std::size_t>(e[1])];
      Entry entry;
      entry.id = at->second;
      entry.name = std::to_string(index) + "." + std::to_string(phrases.size() - 1);
      entry.image = record.image;
      entry.text = record.caption.substr(begin, end - begin);
      entry.category = 1;
      entry.task = Task::kGround;
      data.entries.push_back(std::move(entry));
    }
    add_box(data, at->second, bbox);
  }
}

}  // namespace

Dataset read_grit(std::string_view text, const AnnotationFile& file) {
  require_fractions_allowed(file);
  JsonReader json(text, file.path);
  Dataset data;
  json.array([&](std::size_t index) { add_phrases(json, read_record(json), index, data); });
  json.finish();
  data.format = Format::kGrit;
  data.fractions = true;
  data.categories.push_back({1, "object", 0, {}});
  finish_dataset(data, file.path, {"phrases", "boxes", false});
  return data;
}

}  // namespace groma::eval
