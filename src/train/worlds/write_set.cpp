#include "train/worlds/write_set.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <mutex>
#include <nlohmann/json.hpp>
#include <opencv2/core.hpp>
#include <opencv2/core/utility.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <sstream>
#include <thread>
#include <vector>

#include "check.h"
#include "io/new_folder.h"
#include "train/worlds/set_files.h"
#include "train/worlds/set_statistics.h"

namespace groma::train {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kBatch = 64;  // scenes between two reports of progress

/// A folder that is removed unless it got its final name.
class NewFolder {
 public:
  explicit NewFolder(const std::string& path) : path_(path) {
    std::error_code failure;
    io::require_new_folder(path, "write scenes");
    if (path_.filename().empty()) path_ = path_.parent_path();  // "out/" is "out"
    temporary_ = path_;
    temporary_ += ".partial-" + std::to_string(::getpid());
    fs::create_directories(temporary_ / "images", failure);
    require(!failure, "write scenes: cannot make '", temporary_.string(), "': ", failure.message(),
            "; choose a folder that can be written");
  }

  ~NewFolder() {
    std::error_code ignored;  // nothing sensible is left to do when removal fails as well
    if (!temporary_.empty()) fs::remove_all(temporary_, ignored);
  }

  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

  std::string file(const std::string& name) const { return (temporary_ / name).string(); }

  void commit() {
    std::error_code failure;
    fs::rename(temporary_, path_, failure);
    require(!failure, "write scenes: cannot give '", temporary_.string(), "' the name '",
            path_.string(), "': ", failure.message(), "; name a new folder");
    temporary_.clear();
  }

 private:
  fs::path path_;
  fs::path temporary_;  ///< empty once committed
};

class TextFile {
 public:
  explicit TextFile(const std::string& path) : path_(path), stream_(path, std::ios::binary) {
    check();
  }
  void write(const std::string& text) {
    stream_ << text;
    check();
  }
  void close() {
    stream_.close();
    check();
  }

 private:
  void check() {
    require(stream_.good(), "write scenes: cannot write '", path_, "'; is the disk full?");
  }

  std::string path_;
  std::ofstream stream_;
};

/// OpenCV's own threads would only compete with ours.
class OneOpenCvThread {
 public:
  OneOpenCvThread() : before_(cv::getNumThreads()) { cv::setNumThreads(1); }
  ~OneOpenCvThread() { cv::setNumThreads(before_); }
  OneOpenCvThread(const OneOpenCvThread&) = delete;
  OneOpenCvThread& operator=(const OneOpenCvThread&) = delete;

 private:
  int before_;
};

std::string image_name(std::int64_t index) {
  std::ostringstream name;
  name << "images/" << std::setw(6) << std::setfill('0') << index << ".png";
  return name.str();
}

/// About as many expressions by attributes as by relation, superlative and ordinal.
QuestionCounts counts_of(std::int64_t index) {
  QuestionCounts counts;
  counts.attribute = 2;
  counts.ordinal = index % 2 == 0 ? 1 : 0;
  counts.ground = 2;
  counts.caption = 2;
  counts.yes_no = 2;
  return counts;
}

SceneRecord make_record(const SetOptions& options, std::uint64_t first_seed, std::int64_t index,
                        const NewFolder& folder) {
  SceneRecord record;
  record.image = image_name(index);
  record.scene = draw_scene(options.world, first_seed + static_cast<std::uint64_t>(index));
  Scene& scene = record.scene;
  Random random(scene.seed);
  record.questions = questions(scene, random, counts_of(index));
  for (std::size_t i = 0; i < scene.objects.size(); ++i) {
    record.masks.push_back(run_lengths(scene, static_cast<int>(i)));
  }
  cv::Mat picture;
  cv::cvtColor(cv::Mat(scene.size, scene.size, CV_8UC3, scene.rgb.data()), picture,
               cv::COLOR_RGB2BGR);
  const std::string path = folder.file(record.image);
  require(cv::imwrite(path, picture, {cv::IMWRITE_PNG_COMPRESSION, 3}),
          "write scenes: cannot write '", path, "'; is the disk full?");
  scene.rgb.clear();
  scene.owner.clear();
  return record;
}

/// Calls work(i) for 0..count-1 in several threads; the first exception ends all and is thrown.
template <typename Work>
void for_each_index(std::int64_t count, int threads, const Work& work) {
  std::atomic<std::int64_t> next{0};
  std::exception_ptr failure;
  std::mutex mutex;
  const auto run = [&] {
    try {
      for (std::int64_t i = next++; i < count; i = next++) work(i);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      next = count;
    }
  };
  std::vector<std::jthread> helpers;
  for (int i = 1; i < std::min<std::int64_t>(threads, count); ++i) helpers.emplace_back(run);
  run();
  helpers.clear();
  if (failure) std::rethrow_exception(failure);
}

nlohmann::ordered_json meta_of(const SetOptions& options, const SetStatistics& statistics) {
  constexpr const char* kNames[] = {"shapes", "things", "both"};
  const WorldOptions& world = options.world;
  nlohmann::ordered_json meta;
  meta["format"] = "groma-synth-1";
  meta["options"] = {{"world", kNames[static_cast<int>(world.world)]},
                     {"scenes", options.scenes},
                     {"seed", options.seed},
                     {"size", world.size},
                     {"test", world.test},
                     {"min_objects", world.min_objects},
                     {"max_objects", world.max_objects},
                     {"small_share", world.small_share},
                     {"hidden_share", world.hidden_share}};
  meta["statistics"] = statistics.json();
  return meta;
}

/// The files of a set, while its scenes come in one after the other.
class SetWriter {
 public:
  SetWriter(const NewFolder& folder, World world)
      : folder_(folder),
        rec_(folder.file("rec.jsonl")),
        caption_(folder.file("caption.jsonl")),
        chat_(folder.file("chat.jsonl")),
        instances_(world) {}

  void add(const SceneRecord& record) {
    rec_.write(rec_lines(record, next_rec_));
    caption_.write(caption_lines(record, next_caption_));
    chat_.write(chat_lines(record, next_chat_));
    instances_.add(record);
    ground_.add(record);
    statistics_.add(record);
  }

  void finish(const SetOptions& options) {
    for (auto* file : {&rec_, &caption_, &chat_}) file->close();
    write_whole("instances.json", instances_.text());
    write_whole("ground.json", ground_.text());
    write_whole("meta.json", meta_of(options, statistics_).dump(2) + "\n");
  }

  const SetStatistics& statistics() const { return statistics_; }

 private:
  void write_whole(const std::string& name, const std::string& text) {
    TextFile file(folder_.file(name));
    file.write(text);
    file.close();
  }

  const NewFolder& folder_;
  TextFile rec_;
  TextFile caption_;
  TextFile chat_;
  InstancesFile instances_;
  GroundFile ground_;
  SetStatistics statistics_;
  std::int64_t next_rec_ = 1;
  std::int64_t next_caption_ = 1;
  std::int64_t next_chat_ = 1;
};

}  // namespace

std::string write_set(const SetOptions& options, const std::function<void(double)>& on_progress) {
  require(options.scenes >= 1 && options.scenes <= 10'000'000, "write scenes: ", options.scenes,
          " of them; take 1 to 10000000");
  require(options.threads >= 0 && options.threads <= 1024, "write scenes: ", options.threads,
          " threads; take 0 (all) to 1024");
  NewFolder folder(options.folder);
  const OneOpenCvThread no_competition;
  int threads = options.threads;
  if (threads == 0) threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  // Far apart for neighbouring seeds: no two sets share scenes by chance.
  const std::uint64_t first_seed = Random(options.seed).next();
  SetWriter writer(folder, options.world.world);
  for (std::int64_t begin = 0; begin < options.scenes; begin += kBatch) {
    std::vector<SceneRecord> records(std::min(kBatch, options.scenes - begin));
    for_each_index(static_cast<std::int64_t>(records.size()), threads, [&](std::int64_t i) {
      records[i] = make_record(options, first_seed, begin + i, folder);
    });
    for (const auto& record : records) writer.add(record);
    const auto done = static_cast<double>(begin + static_cast<std::int64_t>(records.size()));
    if (on_progress) on_progress(done / static_cast<double>(options.scenes));
  }
  writer.finish(options);
  folder.commit();
  return writer.statistics().text();
}

}  // namespace groma::train
