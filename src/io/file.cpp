#include "io/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <filesystem>
#include <sstream>
#include <system_error>
#include <utility>

#include "check.h"

namespace groma::io {
namespace {

constexpr std::string_view kLfsPointer = "version https://git-lfs.github.com/spec/";

std::string reason(int error) { return std::system_category().message(error); }

/// Closes on every way out.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int value() const { return value_; }

 private:
  int value_;
};

struct stat status_of(const Descriptor& file, const std::string& path) {
  struct stat status {};
  require(::fstat(file.value(), &status) == 0, "open ", quote(path), ": ", reason(errno));
  require(!S_ISDIR(status.st_mode), "open ", quote(path),
          ": found a folder, expected a file; name a file");
  return status;
}

void refuse_more_than(std::size_t max_bytes, std::size_t bytes, const std::string& path) {
  require(bytes <= max_bytes, "read ", quote(path), ": more than ", max_bytes,
          " bytes, at most that many are read; check that this is the right file");
}

/// The path of the file itself where `path` is a link, so that a rename replaces the file.
std::string follow_links(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_symlink(path, error)) return path;
  const auto target = std::filesystem::canonical(path, error);
  require(!error, "write ", quote(path), ": the link leads nowhere (", error.message(),
          "); remove the link or choose another name");
  return target.string();
}

std::string temporary_name(const std::string& path) {
  static std::atomic<unsigned> counter{0};
  const std::filesystem::path target(path);
  std::ostringstream name;
  name << "." << target.filename().string() << "." << ::getpid() << "-" << counter++ << ".tmp";
  return (target.parent_path() / name.str()).string();
}

/// A new name survives a power cut only when its folder is synced too.
void sync_folder_of(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  const Descriptor file(
      ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // Some file systems refuse this; the file itself is complete either way.
  if (file.value() >= 0) ::fsync(file.value());
}

}  // namespace

std::string quote(std::string_view text, std::size_t most) {
  return "'" + printable(text.substr(0, most), true) + (text.size() > most ? "...'" : "'");
}

MappedFile::MappedFile(std::string path) : path_(std::move(path)) {}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<char*>(data_), size_);
}

std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path) {
  // O_NONBLOCK: opening a pipe must not wait for its other end; it is refused just below.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  require(file.value() >= 0, "open ", quote(path), ": ", reason(errno),
          "; check the path and its permissions");
  const auto status = status_of(file, path);
  require(S_ISREG(status.st_mode), "open ", quote(path),
          ": found a pipe or device, expected a regular file; name a file on disk");
  // The object first: nothing may fail between mapping and keeping what was mapped.
  const std::shared_ptr<MappedFile> mapped(new MappedFile(path));
  if (status.st_size > 0) {
    const auto size = static_cast<std::size_t>(status.st_size);
    void* const data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.value(), 0);
    require(data != MAP_FAILED, "map ", quote(path), ": ", reason(errno));
    mapped->data_ = static_cast<const char*>(data);
    mapped->size_ = size;
  }
  require(mapped->bytes().substr(0, kLfsPointer.size()) != kLfsPointer, "open ", quote(path),
          ": found a Git LFS pointer, expected the file it stands for; run 'git lfs pull'");
  return mapped;
}

void MappedFile::release(std::size_t begin, std::size_t count) const {
  if (begin >= size_ || count == 0) return;
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const auto first = begin / page * page;
  const auto last = std::min(size_, begin + std::min(count, size_ - begin));
  // Advice only: where it fails the pages stay, which is slower but right. Neighbours on the first
  // and last page are read again from the file, which never differs from memory.
  ::madvise(const_cast<char*>(data_) + first, last - first, MADV_DONTNEED);
}

std::string read_text_file(const std::string& path, std::size_t max_bytes) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  require(file.value() >= 0, "read ", quote(path), ": ", reason(errno),
          "; check the path and its permissions");
  const auto status = status_of(file, path);
  require(!S_ISCHR(status.st_mode) && !S_ISBLK(status.st_mode), "read ", quote(path),
          ": a device, expected a file; check the path");
  std::string text;
  // The size is a hint (0 for a pipe): what counts is what can be read.
  if (status.st_size > 0) {
    text.reserve(std::min(static_cast<std::size_t>(status.st_size), max_bytes) + 1);
  }
  char buffer[1 << 16];
  for (;;) {
    const auto count = ::read(file.value(), buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    require(count >= 0, "read ", quote(path), ": ", reason(errno));
    if (count == 0) return text;
    text.append(buffer, static_cast<std::size_t>(count));
    refuse_more_than(max_bytes, text.size(), path);
  }
}

std::string read_regular_file(const std::string& path, std::size_t max_bytes) {
  const auto file = MappedFile::open(path);
  refuse_more_than(max_bytes, file->size(), path);
  return std::string(file->bytes());
}

AtomicFile::AtomicFile(const std::string& path) : path_(follow_links(path)) {
  struct stat status {};
  require(::stat(path_.c_str(), &status) != 0 || S_ISREG(status.st_mode), "write ", quote(path),
          ": the name belongs to a folder, pipe or device; choose the name of a file");
  do {
    temporary_ = temporary_name(path_);
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (descriptor_ < 0 && errno == EEXIST);
  require(descriptor_ >= 0, "write ", quote(path), ": ", reason(errno),
          "; check that the folder exists and can be written");
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::string_view bytes) {
  constexpr std::size_t kMost = std::size_t{1} << 30;  // Linux writes less than 2 GiB at a time
  while (!bytes.empty()) {
    const auto count = ::write(descriptor_, bytes.data(), std::min(bytes.size(), kMost));
    if (count < 0 && errno == EINTR) continue;
    require(count > 0, "write ", quote(path_), ": ", reason(count < 0 ? errno : EIO),
            "; nothing was changed under that name");
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

void AtomicFile::sync() {
  require(::fsync(descriptor_) == 0, "write ", quote(path_), ": ", reason(errno),
          "; nothing was changed under that name");
}

void AtomicFile::commit() {
  sync();
  const int closed = ::close(std::exchange(descriptor_, -1));
  require(closed == 0 && ::rename(temporary_.c_str(), path_.c_str()) == 0, "write ", quote(path_),
          ": ", reason(errno), "; nothing was changed under that name");
  temporary_.clear();
  sync_folder_of(path_);
}

void write_file(const std::string& path, std::string_view contents) {
  AtomicFile file(path);
  file.write(contents);
  file.commit();
}

std::string lower_extension(const std::string& path) {
  auto extension = std::filesystem::path(path).extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension;
}

void make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  require(!error && std::filesystem::is_directory(path, error), "make folder ", quote(path), ": ",
          error ? error.message() : "a file has that name", "; check the path and its permissions");
}

}  // namespace groma::io
