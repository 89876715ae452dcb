#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "groma/formats.h"

namespace groma {

/// The double whose shortest decimals are those of `value`: 0.87 stays 0.87 in JSON; null where it
/// is no number.
nlohmann::ordered_json decimal(float value);

/// An answer with all that it holds; README lists the keys.
nlohmann::ordered_json to_json(const ImageAnswer& answer);
nlohmann::ordered_json to_json(const std::vector<Region>& regions);

/// [x1, y1, x2, y2]
nlohmann::ordered_json to_json(const Box& box);

/// Runs as COCO has them: {"size": [height, width], "counts": ...}.
nlohmann::ordered_json to_json(const Mask& mask);

/// One line of text, whatever bytes the strings hold.
std::string one_line(const nlohmann::ordered_json& json);

}  // namespace groma
