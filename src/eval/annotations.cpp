#include "eval/annotations.h"

#include <array>
#include <cmath>
#include <filesystem>

#include "check.h"
#include "eval/json_reader.h"
#include "io/file.h"

namespace groma::eval {
namespace {

struct FormatName {
  const char* name;
  Format format;
};
constexpr std::array<FormatName, 14> kFormats = {{{"auto", Format::kAuto},
                                                  {"groma", Format::kGroma},
                                                  {"mdetr", Format::kMdetr},
                                                  {"minigpt", Format::kMiniGpt},
                                                  {"refer", Format::kRefer},
                                                  {"coco", Format::kCoco},
                                                  {"lvis", Format::kLvis},
                                                  {"captions", Format::kCaptions},
                                                  {"vg", Format::kVisualGenome},
                                                  {"jsonl", Format::kJsonl},
                                                  {"conversations", Format::kConversations},
                                                  {"sa1b", Format::kSegments},
                                                  {"openimages", Format::kOpenImages},
                                                  {"grit", Format::kGrit}}};

/// A list is told by its first item: MiniGPT-v2's have `img_id`, Visual Genome's `regions`,
/// LLaVA's `conversations`, Groma-Instruct's `conversation` and GRIT's `ref_exps`.
Format detect_list(std::string_view text, const std::string& name) {
  JsonReader json(text, name);
  Format format = Format::kAuto;
  bool first = true;
  try {
    json.array([&](std::size_t) {
      if (first && json.peek() == JsonReader::Kind::kObject) {
        json.object([&](std::string_view key) {
          if (key == "img_id" || key == "sents") format = Format::kMiniGpt;
          if (key == "regions") format = Format::kVisualGenome;
          if (key == "conversations" || key == "conversation") format = Format::kConversations;
          if (key == "ref_exps") format = Format::kGrit;
        });
      }
      first = false;
      if (format != Format::kAuto) throw format;
    });
  } catch (Format known) {
    return known;  // the rest is read later
  }
  json.demand(!first, "the list is empty, expected at least one entry");
  json.demand(false,
              "a list whose first item has none of 'img_id', 'regions', 'conversations' and "
              "'ref_exps'; name its kind with --format");
  return format;
}

/// An object on a line of its own is JSONL unless it is a whole COCO-shaped file or, with both
/// `image` and `annotations`, SA-1B's file of a picture.
Format detect_object(std::string_view text, const std::string& name) {
  const std::string_view line = text.substr(0, text.find('\n'));
  if (line.size() == text.size() && text.find("\"images\"") != std::string_view::npos) {
    return Format::kCoco;
  }
  try {
    JsonReader json(line, name);
    bool own = false, coco = false, image = false, annotations = false;
    json.object([&](std::string_view key) {
      own |= key == "image" || key == "boxes" || key == "task";
      coco |= key == "images" || key == "annotations";
      image |= key == "image";
      annotations |= key == "annotations";
    });
    json.finish();
    if (image && annotations) return Format::kSegments;
    return own && !coco ? Format::kJsonl : Format::kCoco;
  } catch (const Error&) {
    return Format::kCoco;  // an object over several lines
  }
}

}  // namespace

Format format_named(const std::string& name) {
  std::string all;
  for (const FormatName& known : kFormats) {
    if (name == known.name) return known.format;
    all += (all.empty() ? "" : ", ") + std::string(known.name);
  }
  require(false, "choose an annotation format: found ", io::quote(name), ", expected one of ", all);
  return Format::kAuto;
}

std::string name_of(Format format) {
  for (const FormatName& known : kFormats) {
    if (format == known.format) return known.name;
  }
  return "";
}

Format detect_format(std::string_view text, const std::string& name) {
  const std::size_t first = text.find_first_not_of(" \t\r\n\xEF\xBB\xBF");
  require(first != std::string_view::npos, "read ", io::quote(name),
          ": the file is empty, expected annotations");
  const std::string_view rest = text.substr(first);
  // Pickles of protocol 2 begin with 0x80, those of protocol 0 with the mark of a list: "(l" or
  // "]".
  if (rest[0] == '\x80' || rest[0] == ']' || rest.starts_with("(l")) return Format::kRefer;
  if (rest[0] == '[') return detect_list(rest, name);
  if (rest.starts_with("ImageID,")) return Format::kOpenImages;
  require(rest[0] == '{', "read ", io::quote(name), ": begins with ", io::quote(rest, 8),
          ", expected JSON, JSONL, the pickle refs(...).p or the CSV of Open Images");
  return detect_object(rest, name);
}

namespace {

Dataset read_as(std::string_view text, Format format, bool automatic, const AnnotationFile& file) {
  switch (format) {
    case Format::kMiniGpt:
      return read_minigpt_list(text, file.path);
    case Format::kRefer:
      return read_refer(text, file);
    case Format::kVisualGenome:
      return read_visual_genome(text, file.path);
    case Format::kJsonl:
      return read_jsonl(text, file.path);
    case Format::kConversations:
      return read_conversations(text, file.path);
    case Format::kSegments:
      return read_segments(text, file.path);
    case Format::kOpenImages:
      return read_open_images(text, file);
    case Format::kGrit:
      return read_grit(text, file);
    default:
      return read_coco_shaped(text, file.path, automatic ? Format::kAuto : format);
  }
}

}  // namespace

void require_fractions_allowed(const AnnotationFile& file) {
  require(file.allow_fractions, "read ", io::quote(file.path),
          ": gives boxes in parts of pictures whose size it does not give; only training takes it, "
          "by --data");
}

std::vector<std::size_t> character_starts(std::string_view text) {
  std::vector<std::size_t> starts;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if ((text[i] & 0xC0) != 0x80) starts.push_back(i);
  }
  starts.push_back(text.size());
  return starts;
}

Annotation& add_box(Dataset& data, std::int64_t entry_id, const XywhBox& bbox) {
  Annotation& box = data.annotations.emplace_back();
  box.id = static_cast<std::int64_t>(data.annotations.size());
  box.entry_id = entry_id;
  box.category = 1;
  box.bbox = bbox;
  return box;
}

bool has_size(const XywhBox& bbox) {
  const auto sound = [](double side) { return side >= 0 && std::isfinite(side); };
  return sound(bbox[2]) && sound(bbox[3]);
}

Dataset read_annotations(std::string_view text, const AnnotationFile& file) {
  const bool automatic = file.format == Format::kAuto;
  return read_as(text, automatic ? detect_format(text, file.path) : file.format, automatic, file);
}

Dataset read_annotations(const AnnotationFile& file) {
  std::error_code error;
  if (std::filesystem::is_directory(file.path, error)) {
    require(file.format == Format::kAuto || file.format == Format::kSegments, "read ",
            io::quote(file.path), ": is a folder, expected a file; only SA-1B's come as a folder");
    return read_segments_folder(file.path);
  }
  return read_annotations(io::MappedFile::open(file.path)->bytes(), file);
}

}  // namespace groma::eval
