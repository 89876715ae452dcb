#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "eval/dataset.h"

namespace groma::eval {

/// Reads an annotation file of any kind, or a folder of SA-1B, and checks all of it.
///
/// throws    Error naming file, entry and field of the first mistake
Dataset read_annotations(const AnnotationFile& file);

/// The same from the contents of `file`.
Dataset read_annotations(std::string_view text, const AnnotationFile& file);

/// The readers of single kinds. `text` is the whole file, `name` stands for it in messages.
Dataset read_coco_shaped(std::string_view text, const std::string& name, Format format);
Dataset read_minigpt_list(std::string_view text, const std::string& name);
Dataset read_visual_genome(std::string_view text, const std::string& name);
Dataset read_jsonl(std::string_view text, const std::string& name);
Dataset read_refer(std::string_view pickle, const AnnotationFile& file);
Dataset read_conversations(std::string_view text, const std::string& name);
Dataset read_segments(std::string_view text, const std::string& name);
Dataset read_open_images(std::string_view text, const AnnotationFile& file);
Dataset read_grit(std::string_view text, const AnnotationFile& file);

/// Refuses a file whose boxes are fractions of sides it does not give, unless `file` allows them.
void require_fractions_allowed(const AnnotationFile& file);

/// Byte at which every character of a UTF-8 text begins, and the text's length.
std::vector<std::size_t> character_starts(std::string_view text);

/// Adds a box of category 1, numbered on from 1, to an entry.
Annotation& add_box(Dataset& data, std::int64_t entry_id, const XywhBox& bbox);

/// Whether width and height are finite and not negative.
bool has_size(const XywhBox& bbox);

/// SA-1B: every .json of a folder and of those in it.
Dataset read_segments_folder(const std::string& folder);

/// Kind of a file by its first characters.
Format detect_format(std::string_view text, const std::string& name);

/// Results as COCO lists them: image_id, category_id, bbox, score. An empty list is allowed.
std::vector<DetectedBox> read_detections(std::string_view text, const std::string& name);

/// Checks what no single field shows: ids that come twice or that nothing lists, negative sizes.
/// Fills Annotation::entry and missing areas.
struct PlaceNames {
  const char* entries = "images";  ///< what messages call the lists
  const char* annotations = "annotations";
  bool have_areas = true;  ///< a missing area is worth a warning
};
void finish_dataset(Dataset& dataset, const std::string& name, const PlaceNames& places = {});

}  // namespace groma::eval
