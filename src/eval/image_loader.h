#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "groma/image.h"

namespace groma::eval {

/// Reads pictures in threads of its own, some ahead of those that are asked for.
class ImageLoader {
 public:
  struct Loaded {
    std::optional<Image> image;
    std::string error;  ///< why there is none
  };

  ImageLoader(std::vector<std::string> paths, int threads);
  ~ImageLoader();
  ImageLoader(const ImageLoader&) = delete;
  ImageLoader& operator=(const ImageLoader&) = delete;

  /// The next picture, in the order of the paths.
  Loaded next();

 private:
  void work();

  const std::vector<std::string> paths_;
  const std::size_t ahead_;  // most pictures that wait
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::size_t, Loaded> ready_;
  std::size_t begun_ = 0, taken_ = 0;
  bool end_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace groma::eval
