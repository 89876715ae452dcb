#include "eval/image_loader.h"

#include "check.h"

namespace groma::eval {
namespace {

constexpr std::size_t kAheadOfEachThread = 2;

ImageLoader::Loaded load(const std::string& path) {
  try {
    return {Image::open(path), ""};
  } catch (const Error& error) {
    return {std::nullopt, error.what()};
  }
}

}  // namespace

ImageLoader::ImageLoader(std::vector<std::string> paths, int threads)
    : paths_(std::move(paths)), ahead_(kAheadOfEachThread * threads) {
  require(threads >= 1 && threads <= 256, "read pictures ahead: ", threads,
          " threads; give 1 to 256");
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

ImageLoader::~ImageLoader() {
  {
    const std::lock_guard lock(mutex_);
    end_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ImageLoader::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock,
                  [&] { return end_ || begun_ >= paths_.size() || begun_ < taken_ + ahead_; });
    if (end_ || begun_ >= paths_.size()) return;
    const std::size_t i = begun_++;
    lock.unlock();
    Loaded loaded = load(paths_[i]);
    lock.lock();
    ready_.emplace(i, std::move(loaded));
    changed_.notify_all();
  }
}

ImageLoader::Loaded ImageLoader::next() {
  std::unique_lock lock(mutex_);
  require(taken_ < paths_.size(), "read pictures ahead: all ", paths_.size(), " are taken");
  changed_.wait(lock, [&] { return ready_.contains(taken_); });
  auto node = ready_.extract(taken_++);
  changed_.notify_all();
  return std::move(node.mapped());
}

}  // namespace groma::eval
