#pragma once

#include <string>
#include <string_view>

#include "groma/error.h"
#include "groma/image.h"

namespace groma::fuzz {

/// Ends the process unless `kept`; `what` is the promise in words.
void promise(bool kept, std::string_view what);

/// The promises that every message keeps: some text, one line, nothing a terminal would obey.
void check_message(std::string_view message);

/// Whether memory is made to run out: messages may then be cut, and targets leave out what writes
/// through trees of nlohmann/json, which does not survive it.
bool memory_runs_out();
void memory_runs_out(bool value);

/// Runs `action`; whether it ended without an Error. Other exceptions pass.
template <typename Action>
bool accepted(const Action& action) {
  try {
    action();
    return true;
  } catch (const Error& error) {
    check_message(error.what());
    return false;
  }
}

/// A regular file that exists in memory only.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view contents);
  ~MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

/// A picture of one colour.
Image gray_picture(int width, int height);

/// A fresh folder in memory for files that are read by name; removed when the process ends.
const std::string& scratch_folder();

void write_scratch(const char* name, std::string_view contents);

/// Takes what stands before the first `separator` off the front of `input`, all where there is
/// none; the separator goes.
std::string_view take_part(std::string_view& input, std::string_view separator);

/// Takes one byte off the front; 0 where there is none.
unsigned char take_byte(std::string_view& input);

}  // namespace groma::fuzz
