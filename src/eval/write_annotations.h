#pragma once

#include <string>

#include "eval/dataset.h"
#include "eval/json_text.h"

namespace groma::eval {

/// Name of what an entry asks for: its text; of a category, the name as a question says it.
std::string query_text(const Dataset& dataset, const Entry& entry);

/// "bow_(weapon)" -> "bow (weapon)": underscores to blanks, trimmed, lower case.
std::string spoken_category(const std::string& name);

/// Writes a data set in another form; the file appears whole or not at all.
///
/// instances  where the boxes of kRefer go; empty: instances.json beside `path`
/// throws     Error naming the first entry that the form cannot hold
void write_annotations(const Dataset& dataset, Format format, const std::string& path,
                       const std::string& instances);

/// A category as COCO-shaped files list it.
Json category_json(const Category& category);

/// The single forms; `boxes[i]` are the places of the annotations of entry i.
using BoxesByEntry = std::vector<std::vector<std::uint32_t>>;
void write_coco_shaped(const Dataset& dataset, const BoxesByEntry& boxes, Format format,
                       const std::string& path);
void write_jsonl(const Dataset& dataset, const BoxesByEntry& boxes, const std::string& path);
void write_refer(const Dataset& dataset, const BoxesByEntry& boxes, const std::string& path,
                 const std::string& instances);

}  // namespace groma::eval
