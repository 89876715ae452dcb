#include "io/archive_header.h"

#include <string_view>

#include "check.h"
#include "io/unpickle.h"
#include "io/zip.h"

namespace groma::io {
namespace {

constexpr std::string_view kPickleName = "/data.pkl";

/// Tells the files apart that people take for an archive of torch.save.
void check_kind(const MappedFile& file, const std::string& where) {
  const auto bytes = file.bytes();
  require(bytes.substr(0, 1) != "\x80", where,
          "found the old format of torch.save, expected the zip format (torch 1.6 or later)",
          "; load the file and save it again with a recent torch");
  require(bytes.substr(0, 2) == "PK", where, "found ", quote(bytes.substr(0, 4)),
          " at the start, expected a zip archive of torch.save; check that the file is whole");
}

/// The folder within the archive that holds data.pkl, ending in '/'.
std::string find_root(const std::map<std::string, ZipEntry>& entries, const std::string& where) {
  std::string root;
  for (const auto& [name, entry] : entries) {
    if (name.size() <= kPickleName.size() || !name.ends_with(kPickleName)) continue;
    require(root.empty(), where, "the archive holds several data.pkl",
            "; get or write the file again");
    root = name.substr(0, name.size() - kPickleName.size() + 1);
  }
  require(!root.empty(), where, "the zip archive holds no data.pkl, so it is not one of torch.save",
          "; check that this is the right file");
  return root;
}

std::string_view contents(const MappedFile& file, const ZipEntry& entry) {
  return file.bytes().substr(entry.begin, entry.size);
}

}  // namespace

std::map<std::string, StoredTensor> read_archive_header(const MappedFile& file) {
  const auto where = "read " + quote(file.path()) + ": ";
  check_kind(file, where);
  const auto entries = list_stored_zip(file);
  const auto root = find_root(entries, where);

  const auto order = entries.find(root + "byteorder");
  require(order == entries.end() || contents(file, order->second) == "little", where,
          "the numbers are big-endian; save the file again on a little-endian machine");
  const auto& pickle = entries.at(root + "data.pkl");
  require(crc32(contents(file, pickle)) == pickle.crc, where, "the checksum of data.pkl is wrong",
          "; the file is damaged, get it again");

  std::map<std::string, StoredTensor> tensors;
  for (const auto& [name, pickled] : unpickle_state_dict(contents(file, pickle), file.path())) {
    const auto what = where + "tensor " + quote(name) + ": ";
    const auto record = entries.find(root + "data/" + std::string(pickled.key));
    require(record != entries.end(), what, "its storage ", quote(pickled.key, 40),
            " is not in the archive; the file is damaged, get it again");
    const auto width = info_of(pickled.type).size;
    const auto bytes = checked_product(pickled.storage_size, static_cast<int64_t>(width));
    require(bytes && static_cast<std::size_t>(*bytes) == record->second.size, what,
            "its storage should have ", pickled.storage_size, " elements of ", width,
            " bytes, the archive holds ", record->second.size,
            " bytes; the file is damaged, get it again");
    const auto first = record->second.begin + static_cast<std::size_t>(pickled.offset) * width;
    tensors[name] = {pickled.type, pickled.sizes, pickled.strides, first};
  }
  return tensors;
}

}  // namespace groma::io
