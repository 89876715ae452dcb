#include "eval/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "check.h"
#include "io/file.h"

namespace groma::eval {
namespace {

namespace fs = std::filesystem;

/// Temporary files of processes that were killed while they wrote.
void remove_leftovers(const std::string& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(".") && name.ends_with(".tmp")) fs::remove(entry.path(), ignored);
  }
}

}  // namespace

std::string RunFolder::file(const char* name) const { return (fs::path(folder_) / name).string(); }

RunFolder::RunFolder(const std::string& folder, RunRecord record, bool resume)
    : folder_(folder), record_(std::move(record)) {
  io::make_folder(folder);
  const bool known = fs::exists(file("run.json"));
  // A process that was killed as it began may leave the file empty.
  std::error_code none_there;
  const auto bytes = fs::file_size(file("predictions.jsonl"), none_there);
  require(known || none_there || bytes == 0, "run into ", io::quote(folder),
          ": there is a predictions.jsonl but no run.json; choose another folder");
  if (known) {
    const RunRecord before = read_run_record(file("run.json"));
    require(resume, "run into ", io::quote(folder), ": the folder holds a run already (shard ",
            before.shard, "/", before.shards,
            "); go on with it by --resume, or choose another folder: one for each shard");
    const std::string difference = first_difference(before.identity, record_.identity, {});
    require(difference.empty(), "resume ", io::quote(folder),
            ": this run differs from that one in ", difference,
            "; give the same options, or choose another folder");
    require(before.shard == record_.shard && before.shards == record_.shards, "resume ",
            io::quote(folder), ": it holds shard ", before.shard, "/", before.shards,
            ", this run is shard ", record_.shard, "/", record_.shards);
    record_.start = before.start;
  }
  // The lock goes with the process, however it ends.
  const std::string path = file("predictions.jsonl");
  answers_.descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  require(answers_.descriptor >= 0, "write ", io::quote(path), ": ", std::strerror(errno),
          "; check that the folder can be written");
  require(::flock(answers_.descriptor, LOCK_EX | LOCK_NB) == 0, "run into ", io::quote(folder),
          ": another process writes there; wait for it, or choose another folder");
  remove_leftovers(folder);
  write_run_record(record_, file("run.json"));
  take_up(resume);
  times_.open(file("timings.jsonl"), std::ios::app);
}

RunFolder::OpenFile::~OpenFile() {
  if (descriptor >= 0) ::close(descriptor);
}

void RunFolder::take_up(bool resume) {
  if (!resume) return;
  const std::string path = file("predictions.jsonl");
  const auto mapped = io::MappedFile::open(path);
  std::size_t whole = 0;
  for (const Prediction& one : read_predictions(mapped->bytes(), path, &whole)) {
    require(!keys_.contains(one.key), "resume ", io::quote(folder_), ": the key ", one.key,
            " comes twice in predictions.jsonl; choose another folder");
    count(one);
  }
  require(::ftruncate(answers_.descriptor, static_cast<off_t>(whole)) == 0, "write ",
          io::quote(path), ": ", std::strerror(errno));
}

void RunFolder::add(const Prediction& prediction) {
  const std::string line = prediction_line(prediction);
  std::string_view rest = line;
  while (!rest.empty()) {
    const auto count = ::write(answers_.descriptor, rest.data(), rest.size());
    if (count < 0 && errno == EINTR) continue;
    require(count > 0, "write ", io::quote(file("predictions.jsonl")), ": ", std::strerror(errno),
            "; make room and go on with --resume");
    rest.remove_prefix(static_cast<std::size_t>(count));
  }
  count(prediction);
}

void RunFolder::count(const Prediction& prediction) {
  keys_.insert(prediction.key);
  skipped_ += prediction.skipped;
  failed_ += !prediction.skipped && !prediction.error.empty();
}

void RunFolder::add_times(const std::string& line) { times_ << line << std::flush; }

void RunFolder::finish(const Dataset& dataset, const SampleList& samples) {
  const std::string path = file("predictions.jsonl");
  const auto mapped = io::MappedFile::open(path);
  const auto predictions = read_predictions(mapped->bytes(), path);
  std::vector<const Prediction*> places;
  for (const Prediction& prediction : predictions) places.push_back(&prediction);
  const auto answers = order_answers(places, samples, folder_);
  write_merged(folder_, dataset, answers, record_.protocol());
  record_.end = utc_now();
  write_run_record(record_, file("run.json"));
}

}  // namespace groma::eval
