#include "io/zip.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "check.h"

namespace groma::io {
namespace {

constexpr const char* kDamaged = "; the file is damaged or cut short, get it again";
constexpr std::uint64_t kMostEntries = 1'000'000;

// Signatures and fixed sizes of the records.
constexpr std::uint64_t kLocal = 0x04034b50, kLocalBytes = 30;
constexpr std::uint64_t kCentral = 0x02014b50, kCentralBytes = 46;
constexpr std::uint64_t kEnd = 0x06054b50, kEndBytes = 22;
constexpr std::uint64_t kEnd64 = 0x06064b50, kEnd64Bytes = 56;
constexpr std::uint64_t kLocator = 0x07064b50, kLocatorBytes = 20;
constexpr std::uint64_t kIn64 = 0xffffffff;  // a 32-bit field whose value stands in the zip64 part

/// The central directory.
struct Directory {
  std::uint64_t begin = 0, size = 0, entries = 0;
};

/// One record of the directory.
struct Record {
  std::string_view name;
  std::uint64_t packed = 0, size = 0, local = 0;
  std::uint32_t crc = 0;
};

/// Little-endian numbers of the file, each access checked.
class Bytes {
 public:
  explicit Bytes(const MappedFile& file)
      : file_(file), where_("read " + quote(file.path()) + ": ") {}

  const std::string& where() const { return where_; }
  std::uint64_t size() const { return file_.size(); }

  std::string_view text(std::uint64_t at, std::uint64_t count) const {
    require(at <= size() && count <= size() - at, where_, "the zip archive needs ", count,
            " bytes at ", at, ", the file has ", size(), kDamaged);
    return file_.bytes().substr(at, count);
  }

  /// `width` bytes as a number.
  std::uint64_t number(std::uint64_t at, int width) const {
    const auto bytes = text(at, static_cast<std::uint64_t>(width));
    std::uint64_t value = 0;
    for (int i = width; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
    return value;
  }

 private:
  const MappedFile& file_;
  std::string where_;
};

/// The end record stands last, behind it only a comment whose length it states.
std::uint64_t find_end(const Bytes& bytes) {
  constexpr std::uint64_t kLongestComment = 0xffff;
  const auto size = bytes.size();
  const auto most = std::min(size, kEndBytes + kLongestComment);
  for (auto back = kEndBytes; back <= most; ++back) {
    const auto at = size - back;
    if (bytes.number(at, 4) == kEnd && bytes.number(at + 20, 2) == back - kEndBytes) return at;
  }
  require(false, bytes.where(), "no zip directory at the end of the file", kDamaged);
  return 0;
}

Directory find_directory(const Bytes& bytes) {
  const auto end = find_end(bytes);
  Directory found;
  std::uint64_t disks = bytes.number(end + 4, 2) | bytes.number(end + 6, 2);
  std::uint64_t limit = end;  // what the directory must lie before
  found.entries = bytes.number(end + 10, 2);
  found.size = bytes.number(end + 12, 4);
  found.begin = bytes.number(end + 16, 4);
  if (end >= kLocatorBytes && bytes.number(end - kLocatorBytes, 4) == kLocator) {
    limit = bytes.number(end - kLocatorBytes + 8, 8);
    require(limit <= end && end - limit >= kEnd64Bytes && bytes.number(limit, 4) == kEnd64,
            bytes.where(), "no zip64 record at ", limit, kDamaged);
    disks = bytes.number(limit + 16, 4) | bytes.number(limit + 20, 4);
    found.entries = bytes.number(limit + 32, 8);
    found.size = bytes.number(limit + 40, 8);
    found.begin = bytes.number(limit + 48, 8);
  }
  require(disks == 0, bytes.where(), "the archive is split over several files; join them first");
  require(found.begin <= limit && found.size <= limit - found.begin, bytes.where(),
          "the zip directory (", found.size, " bytes at ", found.begin, ") leaves the file",
          kDamaged);
  require(found.entries <= kMostEntries && found.entries <= found.size / kCentralBytes,
          bytes.where(), "the zip directory of ", found.size, " bytes cannot hold ", found.entries,
          " entries", kDamaged);
  return found;
}

/// Replaces the 32-bit fields that say so by the values of the record's zip64 part.
void read_zip64(const Bytes& bytes, std::uint64_t at, std::uint64_t end, Record& record) {
  constexpr std::uint64_t kZip64 = 1;
  std::uint64_t* const fields[] = {&record.size, &record.packed, &record.local};
  while (end - at >= 4) {
    const auto id = bytes.number(at, 2);
    const auto length = bytes.number(at + 2, 2);
    at += 4;
    require(length <= end - at, bytes.where(), "entry ", quote(record.name),
            ": its extra fields leave the record", kDamaged);
    auto next = at;
    for (auto* field : fields) {
      if (id != kZip64 || *field != kIn64) continue;
      require(next + 8 <= at + length, bytes.where(), "entry ", quote(record.name),
              ": its zip64 field is too short", kDamaged);
      *field = bytes.number(next, 8);
      next += 8;
    }
    at += length;
  }
}

/// Finds the bytes of an entry behind its local header.
ZipEntry locate(const Bytes& bytes, const Record& record, const Directory& directory) {
  const auto what = bytes.where() + "entry " + quote(record.name) + ": ";
  require(record.local < directory.begin && bytes.number(record.local, 4) == kLocal, what,
          "no local header at ", record.local, kDamaged);
  const auto name_length = bytes.number(record.local + 26, 2);
  const auto extra_length = bytes.number(record.local + 28, 2);
  require(bytes.text(record.local + kLocalBytes, name_length) == record.name, what,
          "its local header has another name", kDamaged);
  const auto begin = record.local + kLocalBytes + name_length + extra_length;
  require(begin <= directory.begin && record.size <= directory.begin - begin, what, record.size,
          " bytes at ", begin, " reach into the directory at ", directory.begin, kDamaged);
  return {static_cast<std::size_t>(begin), static_cast<std::size_t>(record.size), record.crc};
}

}  // namespace

std::map<std::string, ZipEntry> list_stored_zip(const MappedFile& file) {
  const Bytes bytes(file);
  const auto directory = find_directory(bytes);
  std::map<std::string, ZipEntry> entries;
  auto at = directory.begin;
  const auto end = directory.begin + directory.size;
  for (std::uint64_t i = 0; i < directory.entries; ++i) {
    require(end - at >= kCentralBytes && bytes.number(at, 4) == kCentral, bytes.where(), "entry ",
            i, " of the zip directory is damaged", kDamaged);
    Record record;
    const auto flags = bytes.number(at + 8, 2);
    const auto method = bytes.number(at + 10, 2);
    record.crc = static_cast<std::uint32_t>(bytes.number(at + 16, 4));
    record.packed = bytes.number(at + 20, 4);
    record.size = bytes.number(at + 24, 4);
    record.local = bytes.number(at + 42, 4);
    const auto name_length = bytes.number(at + 28, 2);
    const auto extra_length = bytes.number(at + 30, 2);
    const auto comment_length = bytes.number(at + 32, 2);
    at += kCentralBytes;
    require(name_length + extra_length + comment_length <= end - at, bytes.where(), "entry ", i,
            " leaves the zip directory", kDamaged);
    record.name = bytes.text(at, name_length);
    read_zip64(bytes, at + name_length, at + name_length + extra_length, record);
    at += name_length + extra_length + comment_length;
    const auto what = bytes.where() + "entry " + quote(record.name);
    require((flags & 1) == 0, what, " is encrypted; write the file again without a password");
    require(method == 0 && record.packed == record.size, what, " is compressed (method ", method,
            "), expected stored bytes; load the file and save it again with torch.save");
    require(entries.emplace(record.name, locate(bytes, record, directory)).second, what,
            " stands twice in the archive", kDamaged);
  }
  require(at == end, bytes.where(), "the zip directory has ", end - at, " bytes too many",
          kDamaged);
  return entries;
}

std::uint32_t crc32(std::string_view bytes) {
  static const auto table = [] {
    std::array<std::uint32_t, 256> values{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      auto value = i;
      for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0xEDB88320u : 0);
      values[i] = value;
    }
    return values;
  }();
  std::uint32_t crc = ~0u;
  for (const char c : bytes) crc = crc >> 8 ^ table[(crc ^ static_cast<unsigned char>(c)) & 255];
  return ~crc;
}

}  // namespace groma::io
