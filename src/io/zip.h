#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "io/file.h"

namespace groma::io {

/// Bytes of one entry within the archive's file.
struct ZipEntry {
  std::size_t begin = 0;
  std::size_t size = 0;
  std::uint32_t crc = 0;  ///< CRC-32 of the bytes as the archive states it
};

/// Lists a zip archive whose entries are all stored without compression.
///
/// Every entry lies inside the file, before the directory at its end. Contents are not looked at.
/// throws    Error when the file is no zip archive, is damaged, encrypted, compressed or split
/// source    PKWARE APPNOTE.TXT 6.3.10, sections 4.3.7, 4.3.12, 4.3.14 to 4.3.16, 4.5.3
std::map<std::string, ZipEntry> list_stored_zip(const MappedFile& file);

/// CRC-32 as zip uses it (polynomial 0xEDB88320, reflected).
std::uint32_t crc32(std::string_view bytes);

}  // namespace groma::io
