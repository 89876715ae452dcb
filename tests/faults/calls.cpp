#include "faults/calls.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

namespace {

using groma::testing::Call;

struct Plan {
  std::atomic<bool> armed{false};
  Call call = Call::kRead;
  std::size_t n = 0;
  int error = 0;
  std::atomic<std::size_t> seen{0};
};
Plan plan;

enum class Fate { kPass, kHalf, kFail };

Fate fate_of(Call call) {
  if (!plan.armed || plan.call != call || ++plan.seen != plan.n) return Fate::kPass;
  if (plan.error == 0) return Fate::kHalf;
  errno = plan.error;
  return Fate::kFail;
}

/// The C library's own function.
template <typename Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

/// Half of what was asked for, yet something.
std::size_t some_of(Fate fate, std::size_t count) {
  return fate == Fate::kHalf ? std::max<std::size_t>(count / 2, std::min<std::size_t>(count, 1))
                             : count;
}

int open_mode(int flags, va_list arguments) {
  return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(arguments, int) : 0;
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  static auto* const call = real<int(const char*, int, ...)>("open");
  va_list arguments;
  va_start(arguments, flags);
  const int mode = open_mode(flags, arguments);
  va_end(arguments);
  return fate_of(Call::kOpen) == Fate::kFail ? -1 : call(path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  static auto* const call = real<int(const char*, int, ...)>("open64");
  va_list arguments;
  va_start(arguments, flags);
  const int mode = open_mode(flags, arguments);
  va_end(arguments);
  return fate_of(Call::kOpen) == Fate::kFail ? -1 : call(path, flags, mode);
}

std::FILE* fopen64(const char* path, const char* mode) {  // of std::fstream
  static auto* const call = real<std::FILE*(const char*, const char*)>("fopen64");
  return fate_of(Call::kOpen) == Fate::kFail ? nullptr : call(path, mode);
}

ssize_t read(int file, void* buffer, std::size_t count) {
  static auto* const call = real<ssize_t(int, void*, std::size_t)>("read");
  const auto fate = fate_of(Call::kRead);
  return fate == Fate::kFail ? -1 : call(file, buffer, some_of(fate, count));
}

ssize_t __read_chk(int file, void* buffer, std::size_t count, std::size_t) {
  return read(file, buffer, count);
}

ssize_t write(int file, const void* buffer, std::size_t count) {
  static auto* const call = real<ssize_t(int, const void*, std::size_t)>("write");
  const auto fate = fate_of(Call::kWrite);
  return fate == Fate::kFail ? -1 : call(file, buffer, some_of(fate, count));
}

ssize_t writev(int file, const iovec* parts, int count) {  // of std::fstream
  static auto* const call = real<ssize_t(int, const iovec*, int)>("writev");
  return fate_of(Call::kWrite) == Fate::kFail ? -1 : call(file, parts, count);
}

void* mmap(void* at, std::size_t size, int protection, int flags, int file, off_t offset) {
  static auto* const call = real<void*(void*, std::size_t, int, int, int, off_t)>("mmap");
  const bool fails = file >= 0 && fate_of(Call::kMap) == Fate::kFail;
  return fails ? MAP_FAILED : call(at, size, protection, flags, file, offset);
}

int fsync(int file) {
  static auto* const call = real<int(int)>("fsync");
  return fate_of(Call::kSync) == Fate::kFail ? -1 : call(file);
}

int rename(const char* from, const char* to) noexcept {
  static auto* const call = real<int(const char*, const char*)>("rename");
  return fate_of(Call::kRename) == Fate::kFail ? -1 : call(from, to);
}

int ftruncate(int file, off_t size) noexcept {
  static auto* const call = real<int(int, off_t)>("ftruncate");
  return fate_of(Call::kCut) == Fate::kFail ? -1 : call(file, size);
}

}  // extern "C"

namespace groma::testing {

void fail_call(Call call, std::size_t n, int error) {
  plan.armed = false;
  plan.call = call;
  plan.n = n;
  plan.error = error;
  plan.seen = 0;
  plan.armed = true;
}

std::size_t stop_failing() {
  plan.armed = false;
  return plan.seen;
}

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

std::size_t mapped_files(const char* folder) {
  std::ifstream maps("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);) count += line.find(folder) != line.npos;
  return count;
}

}  // namespace groma::testing
