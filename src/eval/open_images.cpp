// Open Images: a row of CSV for each box, and the names of classes in another file.
//
// source    storage.googleapis.com/openimages/web/download_v5.html, "Data Formats"

#include <array>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <unordered_map>

#include "check.h"
#include "eval/annotations.h"
#include "io/file.h"

namespace groma::eval {
namespace {

namespace fs = std::filesystem;

/// Takes what stands before the first `end` off the front, all where there is none; `end` goes.
std::string_view take_until(std::string_view& text, char end) {
  const std::string_view part = text.substr(0, text.find(end));
  text.remove_prefix(std::min(part.size() + 1, text.size()));
  return part;
}

std::string_view take_line(std::string_view& text) {
  std::string_view line = take_until(text, '\n');
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

using Names = std::unordered_map<std::string_view, std::string_view>;

/// "/m/011k07,Tortoise": what label is called how. Views of `text`.
Names class_names(std::string_view text) {
  Names names;
  while (!text.empty()) {
    std::string_view name = take_line(text);
    const std::string_view label = take_until(name, ',');
    if (name.size() > 1 && name.starts_with('"') && name.ends_with('"')) {
      name = name.substr(1, name.size() - 2);
    }
    names.emplace(label, name);
  }
  return names;
}

class Reader {
 public:
  Reader(std::string_view text, const std::string& name) : rest_(text), name_(name) {
    columns_.fill(kNowhere);
    std::string_view header = take_line(rest_);
    if (header.starts_with("\xEF\xBB\xBF")) header.remove_prefix(3);
    for (; !header.empty(); ++width_) {
      const std::string_view title = take_until(header, ',');
      for (std::size_t i = 0; i < kTitles.size(); ++i) {
        if (title == kTitles[i]) columns_[i] = width_;
      }
    }
    for (std::size_t i = 0; i < kTitles.size(); ++i) {
      demand(columns_[i] != kNowhere, "no column '", kTitles[i],
             "'; expected the boxes of Open Images");
    }
  }

  Dataset read(const Names& names) {
    while (!rest_.empty()) {
      ++line_;
      if (const std::string_view row = take_line(rest_); !row.empty()) read_row(row, names);
    }
    const auto left_out = [&](std::size_t count, const char* what) {
      if (count == 0) return;
      data_.warnings.push_back(io::quote(name_) + ": " + std::to_string(count) + " boxes " + what +
                               " left out");
    };
    left_out(groups_, "of groups (IsGroupOf)");
    left_out(guesses_, "of machines (Confidence below 1)");
    data_.format = Format::kOpenImages;
    data_.fractions = true;
    finish_dataset(data_, name_, {"pictures", "rows", false});
    return std::move(data_);
  }

 private:
  enum Column { kImage, kLabel, kConfidence, kLeft, kRight, kTop, kBottom, kGroup, kColumns };
  static constexpr std::array<std::string_view, kColumns> kTitles = {
      "ImageID", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax", "IsGroupOf"};
  static constexpr std::size_t kNowhere = -1;

  template <typename... Parts>
  void demand(bool condition, const Parts&... parts) const {
    require(condition, "read ", io::quote(name_), ": line ", line_, ": ", parts...);
  }

  double number(Column column) const {
    const std::string_view field = fields_[column];
    double value = 0;
    const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
    demand(error == std::errc() && end == field.data() + field.size() && std::isfinite(value),
           kTitles[column], ": found ", io::quote(field, 40), ", expected a number");
    return value;
  }

  void read_row(std::string_view row, const Names& names) {
    std::size_t count = 0;
    for (std::string_view rest = row; !rest.empty(); ++count) {
      const std::string_view field = take_until(rest, ',');
      for (std::size_t i = 0; i < kColumns; ++i) {
        if (columns_[i] == count) fields_[i] = field;
      }
    }
    demand(count == width_, "found ", count, " fields, the header has ", width_);
    demand(!fields_[kImage].empty(), "ImageID: found nothing, expected the name of a picture");
    Annotation box;
    box.id = static_cast<std::int64_t>(line_);
    box.bbox = {number(kLeft), number(kTop), number(kRight) - number(kLeft),
                number(kBottom) - number(kTop)};
    demand(has_size(box.bbox), "found a box of width ", box.bbox[2], " and height ", box.bbox[3],
           ", expected XMin <= XMax and YMin <= YMax");
    box.crowd = number(kGroup) == 1;
    box.ignore = number(kConfidence) < 1;
    groups_ += box.crowd;
    guesses_ += box.ignore && !box.crowd;
    box.entry_id = picture();
    box.category = category(names);
    data_.annotations.push_back(std::move(box));
  }

  std::int64_t picture() {
    const auto [at, fresh] = pictures_.emplace(fields_[kImage], data_.entries.size());
    if (fresh) {
      Entry entry;
      entry.id = at->second;
      entry.name = fields_[kImage];
      entry.image = entry.name + ".jpg";
      data_.entries.push_back(std::move(entry));
    }
    return at->second;
  }

  std::int64_t category(const Names& names) {
    const auto [at, fresh] = categories_.emplace(fields_[kLabel], data_.categories.size() + 1);
    if (fresh) {
      const auto name = names.find(fields_[kLabel]);
      data_.categories.push_back(
          {at->second, name == names.end() ? "" : std::string(name->second), 0, {}});
    }
    return at->second;
  }

  std::string_view rest_;
  const std::string& name_;
  std::size_t line_ = 1, width_ = 0;
  std::array<std::size_t, kColumns> columns_;
  std::array<std::string_view, kColumns> fields_;
  Dataset data_;
  std::unordered_map<std::string_view, std::int64_t> pictures_, categories_;
  std::size_t groups_ = 0, guesses_ = 0;
};

}  // namespace

Dataset read_open_images(std::string_view text, const AnnotationFile& file) {
  require_fractions_allowed(file);
  const std::string beside =
      (fs::path(file.path).parent_path() / "class-descriptions-boxable.csv").string();
  std::error_code error;
  if (!fs::exists(beside, error)) {
    Dataset data = Reader(text, file.path).read({});
    data.warnings.push_back("no " + io::quote(beside) + ": the boxes have no names");
    return data;
  }
  const auto descriptions = io::MappedFile::open(beside);
  return Reader(text, file.path).read(class_names(descriptions->bytes()));
}

}  // namespace groma::eval
