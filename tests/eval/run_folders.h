#pragma once

#include <fstream>
#include <iterator>
#include <string>

#include "eval/prediction.h"
#include "folders.h"
#include "io/file.h"

namespace groma::testing {

inline std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A prediction for the entry `label` that names `boxes` (x1, y1, x2, y2 in pixels of a
/// width x height picture), with `candidates` among which they were chosen.
inline eval::Prediction prediction_of(const std::string& label, int width, int height,
                                      const std::vector<eval::FloatBox>& boxes,
                                      const std::vector<eval::FloatBox>& candidates = {}) {
  eval::Prediction out;
  out.key = label + "/0/0";
  int number = 0;
  for (const eval::FloatBox& b : boxes) {
    const auto w = static_cast<float>(width), h = static_cast<float>(height);
    out.regions.push_back(
        {number++,
         {(b[0] + b[2]) / 2 / w, (b[1] + b[3]) / 2 / h, (b[2] - b[0]) / w, (b[3] - b[1]) / h},
         b,
         0.9f,
         -0.1f});
  }
  for (const eval::FloatBox& b : candidates) out.candidates.push_back({b, 0.5f});
  out.regions_kept = static_cast<int>(candidates.size());
  return out;
}

inline void write_predictions(const std::filesystem::path& folder,
                              const std::vector<eval::Prediction>& predictions) {
  io::make_folder(folder.string());
  std::string lines;
  for (const auto& prediction : predictions) lines += eval::prediction_line(prediction);
  io::write_file((folder / "predictions.jsonl").string(), lines);
}

}  // namespace groma::testing
