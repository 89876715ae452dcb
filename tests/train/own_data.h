#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "groma/error.h"
#include "groma/image.h"
#include "train/own_images.h"
#include "train/tiny_run.h"

namespace groma::train::testing {

/// A folder with one grey picture a.png of 40 x 20 pixels.
inline void add_picture(const RunFolder& folder, const std::string& name = "a.png", int width = 40,
                        int height = 20) {
  const std::vector<uint8_t> pixels(static_cast<size_t>(width) * height * 3, 90);
  Image::from_rgb(pixels.data(), width, height).save(folder / name);
}

inline DataSource source_of(const std::string& path) {
  DataSource source;
  source.path = path;
  return source;
}

inline OwnImages read(const std::string& path, bool skip_wrong = false) {
  return read_own_images(source_of(path), true, skip_wrong, nullptr);
}

inline std::string refusal(const std::string& path) {
  try {
    read(path);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace groma::train::testing
