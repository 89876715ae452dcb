#pragma once

#include <cstdint>
#include <fstream>
#include <string>

namespace groma::train {

/// A file of scalars that TensorBoard shows: TFRecords of tensorflow.Event messages.
///
/// Every process that goes on with a run begins a file of its own, whose first message drops what
/// earlier files hold from `first_step` on.
/// source  tensorflow/core/util/event.proto, core/lib/io/record_writer
class EventFile {
 public:
  /// throws  Error when the folder cannot be written to
  EventFile(const std::string& folder, std::int64_t first_step);

  void add(std::int64_t step, const std::string& name, double value);
  /// Brings what was added to the file.
  void flush();

 private:
  void record(const std::string& event);

  std::string path_;
  std::ofstream out_;
};

/// CRC-32C (Castagnoli) of bytes.
std::uint32_t crc32c(const std::string& bytes);

}  // namespace groma::train
