#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "io/bytes.h"
#include "io/zip.h"

// Writes what torch.save writes, and what it never would.

namespace groma::testing {

/// Builds a pickle of protocol 2, instruction by instruction.
class Pickle {
 public:
  Pickle() : bytes_("\x80\x02") {}

  Pickle& raw(const std::string& bytes) {
    bytes_ += bytes;
    return *this;
  }
  Pickle& text(const std::string& value) { return raw("X" + little(value.size(), 4) + value); }
  Pickle& number(int64_t value) {
    if (value >= 0 && value < 256) return raw("K" + little(static_cast<std::uint64_t>(value), 1));
    if (value == static_cast<std::int32_t>(value)) {
      return raw("J" + little(static_cast<std::uint64_t>(value), 4));
    }
    return raw("\x8a\x08" + little(static_cast<std::uint64_t>(value), 8));
  }
  Pickle& global(const std::string& module, const std::string& name) {
    return raw("c" + module + "\n" + name + "\n");
  }
  Pickle& numbers(const std::vector<int64_t>& values) {
    raw("(");
    for (const auto value : values) number(value);
    return raw("t");
  }
  Pickle& ordered_dict() { return global("collections", "OrderedDict").raw(")R"); }
  Pickle& storage(const std::string& type, const std::string& key, int64_t size) {
    return raw("(")
        .text("storage")
        .global("torch", type)
        .text(key)
        .text("cpu")
        .number(size)
        .raw("tQ");
  }
  Pickle& tensor(const std::string& type, const std::string& key, int64_t size, int64_t offset,
                 const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides) {
    global("torch._utils", "_rebuild_tensor_v2").raw("(").storage(type, key, size).number(offset);
    return numbers(sizes).numbers(strides).raw("\x89").ordered_dict().raw("tR");
  }
  std::string stop() const { return bytes_ + "."; }

 private:
  std::string bytes_;
};

/// Builds a zip archive of stored entries whose data are aligned as torch aligns them.
class Zip {
 public:
  int method = 0;
  int flags = 0;
  bool zip64 = false;  ///< all sizes and places in the zip64 fields, as in an archive over 4 GB
  std::size_t alignment = 64;

  void add(const std::string& name, const std::string& data) {
    const auto local = bytes_.size();
    const auto unpadded = local + 30 + name.size() + 4;
    const auto padding = (alignment - unpadded % alignment) % alignment;
    bytes_ += little(0x04034b50, 4) + little(0, 2) + little(flags, 2) + little(method, 2) +
              little(0, 4 + 4 + 4 + 4) + little(name.size(), 2) + little(4 + padding, 2) + name +
              "FB" + little(padding, 2) + std::string(padding, 'Z') + data;
    const auto wide = std::uint64_t{0xffffffff};
    const auto extra = zip64 ? little(1, 2) + little(24, 2) + little(data.size(), 8) +
                                   little(data.size(), 8) + little(local, 8)
                             : std::string();
    const auto size = little(zip64 ? wide : data.size(), 4);
    directory_ += little(0x02014b50, 4) + little(0, 4) + little(flags, 2) + little(method, 2) +
                  little(0, 4) + little(io::crc32(data), 4) + size + size + little(name.size(), 2) +
                  little(extra.size(), 2) + little(0, 2 + 2 + 2 + 4) +
                  little(zip64 ? wide : local, 4) + name + extra;
    ++entries_;
  }

  std::string finish(const std::string& comment = "") const {
    const auto begin = bytes_.size();
    auto out = bytes_ + directory_;
    const auto record = out.size();
    if (zip64) {
      out += little(0x06064b50, 4) + little(44, 8) + little(0, 2 + 2 + 4 + 4) +
             little(entries_, 8) + little(entries_, 8) + little(directory_.size(), 8) +
             little(begin, 8);
      out += little(0x07064b50, 4) + little(0, 4) + little(record, 8) + little(1, 4);
    }
    const auto wide = std::uint64_t{0xffffffff};
    out += little(0x06054b50, 4) + little(0, 4) + little(entries_, 2) + little(entries_, 2) +
           little(zip64 ? wide : directory_.size(), 4) + little(zip64 ? wide : begin, 4) +
           little(comment.size(), 2) + comment;
    return out;
  }

 private:
  std::string bytes_, directory_;
  std::uint64_t entries_ = 0;
};

/// An archive as torch.save lays it out.
inline std::string torch_archive(const std::string& pickle,
                                 const std::vector<std::pair<std::string, std::string>>& storages,
                                 Zip zip = Zip()) {
  zip.add("archive/data.pkl", pickle);
  zip.add("archive/byteorder", "little");
  for (const auto& [key, data] : storages) zip.add("archive/data/" + key, data);
  zip.add("archive/version", "3\n");
  return zip.finish();
}

}  // namespace groma::testing
