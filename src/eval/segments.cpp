// SA-1B: a file for each picture, with a box for every segment and no names.
//
// source    Segment Anything, README.md, "Dataset"

#include <algorithm>
#include <filesystem>

#include "check.h"
#include "eval/annotations.h"
#include "eval/json_fields.h"
#include "eval/json_reader.h"
#include "io/file.h"

namespace groma::eval {
namespace {

namespace fs = std::filesystem;

void read_segment(JsonReader& json, std::int64_t entry, Dataset& data) {
  Annotation& box = add_box(data, entry, {});
  bool has_box = false;
  json.object([&](std::string_view key) {
    if (key == "bbox") {
      box.bbox = read_xywh(json);
      has_box = true;
    } else if (key == "area") {
      box.area = json.number();
      json.demand(box.area >= 0, "found ", box.area, ", expected an area of 0 or more");
    }
  });
  json.demand(has_box, "no 'bbox'; every segment needs [x, y, width, height]");
}

/// Adds the picture of a file; its id is its place.
Entry& add_picture(std::string_view text, const std::string& name, Dataset& data) {
  JsonReader json(text, name);
  Entry entry;
  entry.id = static_cast<std::int64_t>(data.entries.size());
  bool has_segments = false;
  json.object([&](std::string_view key) {
    if (key == "image") {
      json.object([&](std::string_view field) {
        if (field == "file_name") entry.image = json.string();
        if (field == "width") entry.width = read_side(json);
        if (field == "height") entry.height = read_side(json);
      });
    } else if (key == "annotations") {
      has_segments = true;
      json.array([&](std::size_t) { read_segment(json, entry.id, data); });
    }
  });
  json.finish();
  json.demand(!entry.image.empty(), "no 'image' with a 'file_name'; expected a file of SA-1B");
  json.demand(has_segments, "no 'annotations'; expected a file of SA-1B");
  data.entries.push_back(std::move(entry));
  return data.entries.back();
}

Dataset finished(Dataset data, const std::string& name) {
  data.format = Format::kSegments;
  data.categories.push_back({1, "object", 0, {}});
  finish_dataset(data, name, {"files", "segments", false});
  return data;
}

/// Paths below the folder, sorted: the order of a file system is anyone's guess.
std::vector<fs::path> json_files(const std::string& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error)) {
    if (at->path().extension() == ".json") files.push_back(at->path().lexically_relative(folder));
  }
  require(!error, "read ", io::quote(folder), ": ", error.message());
  require(!files.empty(), "read ", io::quote(folder),
          ": holds no .json; expected the files of SA-1B, one for each picture");
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

Dataset read_segments(std::string_view text, const std::string& name) {
  Dataset data;
  add_picture(text, name, data);
  return finished(std::move(data), name);
}

Dataset read_segments_folder(const std::string& folder) {
  Dataset data;
  for (const fs::path& file : json_files(folder)) {
    const std::string path = (fs::path(folder) / file).string();
    Entry& entry = add_picture(io::MappedFile::open(path)->bytes(), path, data);
    entry.name = file.string();
    entry.image = (file.parent_path() / entry.image).string();
  }
  return finished(std::move(data), folder);
}

}  // namespace groma::eval
