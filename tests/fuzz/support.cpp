#include "fuzz/support.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace groma::fuzz {
namespace {

bool runs_out = false;

/// A folder that goes with the process, unless that crashes.
class Scratch {
 public:
  Scratch() {
    const bool in_memory = ::access("/dev/shm", W_OK) == 0;
    path_ = std::string(in_memory ? "/dev/shm" : "/tmp") + "/groma-fuzz-XXXXXX";
    promise(::mkdtemp(path_.data()) != nullptr, "a scratch folder can be made");
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

void write_all(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto count = ::write(descriptor, bytes.data(), bytes.size());
    promise(count > 0, "scratch files can be written");
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

}  // namespace

void promise(bool kept, std::string_view what) {
  if (kept) return;
  std::fprintf(stderr, "broken promise: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

bool memory_runs_out() { return runs_out; }

void memory_runs_out(bool value) { runs_out = value; }

void check_message(std::string_view message) {
  promise(runs_out || !message.empty(), "an error says something");
  promise(message.size() < 2000, "an error is short");
  const bool clean = std::none_of(message.begin(), message.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
  if (!clean) std::fprintf(stderr, "%.*s\n", static_cast<int>(message.size()), message.data());
  promise(clean, "an error is one line without control characters");
}

MemoryFile::MemoryFile(std::string_view contents)
    : descriptor_(::memfd_create("fuzz", MFD_CLOEXEC)) {
  write_all(descriptor_, contents);
}

MemoryFile::~MemoryFile() { ::close(descriptor_); }

Image gray_picture(int width, int height) {
  const std::vector<std::uint8_t> pixels(std::size_t{3} * width * height, 128);
  return Image::from_rgb(pixels.data(), width, height);
}

const std::string& scratch_folder() {
  static const Scratch scratch;
  return scratch.path();
}

void write_scratch(const char* name, std::string_view contents) {
  const auto path = scratch_folder() + "/" + name;
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  write_all(descriptor, contents);
  ::close(descriptor);
}

std::string_view take_part(std::string_view& input, std::string_view separator) {
  const auto end = input.find(separator);
  const auto part = input.substr(0, end);
  input.remove_prefix(end == input.npos ? input.size() : end + separator.size());
  return part;
}

unsigned char take_byte(std::string_view& input) {
  if (input.empty()) return 0;
  const auto byte = static_cast<unsigned char>(input.front());
  input.remove_prefix(1);
  return byte;
}

}  // namespace groma::fuzz
