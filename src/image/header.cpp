#include "image/header.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <string_view>

#include "check.h"
#include "io/file.h"

namespace groma {
namespace {

using Bytes = std::span<const std::uint8_t>;

/// Reads integers and tags of a file; reading past its end is an Error.
class Reader {
 public:
  Reader(Bytes bytes, const std::string& name) : bytes_(bytes), name_(io::quote(name)) {}

  std::uint64_t size() const { return bytes_.size(); }
  const std::string& name() const { return name_; }  ///< quoted

  void need(std::uint64_t at, std::uint64_t count) const {
    require(at <= size() && count <= size() - at, "open ", name_, ": the file is cut off, it has ",
            size(), " bytes and goes on at byte ", at, "; get the whole file");
  }
  std::uint32_t big(std::uint64_t at, int count) const {
    need(at, count);
    std::uint32_t value = 0;
    for (int i = 0; i < count; ++i) value = value << 8 | bytes_[at + i];
    return value;
  }
  std::uint32_t little(std::uint64_t at, int count) const {
    need(at, count);
    std::uint32_t value = 0;
    for (int i = count; i-- > 0;) value = value << 8 | bytes_[at + i];
    return value;
  }
  bool tag(std::uint64_t at, std::string_view expected) const {
    need(at, expected.size());
    return std::equal(expected.begin(), expected.end(), bytes_.begin() + at,
                      [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; });
  }
  Bytes part(std::uint64_t at, std::uint64_t count) const {
    need(at, count);
    return bytes_.subspan(at, count);
  }

 private:
  Bytes bytes_;
  std::string name_;
};

bool starts_with(Bytes bytes, std::string_view text, std::size_t at = 0) {
  return bytes.size() >= at + text.size() &&
         std::equal(text.begin(), text.end(), bytes.begin() + at,
                    [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; });
}

/// The orientation tag of the first directory of an EXIF block (a TIFF header); 1 when there is
/// none.
int exif_orientation(Bytes exif) {
  using namespace std::string_view_literals;
  if (starts_with(exif, "Exif\0\0"sv)) exif = exif.subspan(6);
  if (exif.size() < 8) return 1;
  const bool little = starts_with(exif, "II");
  if (!little && !starts_with(exif, "MM")) return 1;
  const auto number = [&](std::uint64_t at, int count) -> std::uint64_t {
    if (at + count > exif.size()) return 0;
    std::uint64_t value = 0;
    for (int i = 0; i < count; ++i) value = value << 8 | exif[at + (little ? count - 1 - i : i)];
    return value;
  };
  const std::uint64_t directory = number(4, 4);
  const std::uint64_t entries = number(directory, 2);
  for (std::uint64_t i = 0; i < entries; ++i) {
    const std::uint64_t entry = directory + 2 + 12 * i;
    constexpr int kOrientation = 0x0112;
    constexpr int kShort = 3;
    if (number(entry, 2) != kOrientation || number(entry + 2, 2) != kShort) continue;
    const std::uint64_t value = number(entry + 8, 2);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

/// Walks the segments up to the first scan; whether the scans are whole is known after decoding.
ImageHeader read_jpeg(const Reader& file) {
  ImageHeader header{ImageKind::kJpeg};
  bool oriented = false;
  for (std::uint64_t at = 2;;) {
    while (file.big(at, 1) != 0xFF) ++at;  // decoders pass over stray bytes between segments
    while (file.big(at, 1) == 0xFF) ++at;  // any number of fill bytes may stand before a marker
    const std::uint32_t marker = file.big(at++, 1);
    if (marker == 0x01 || (marker >= 0xD0 && marker <= 0xD7)) continue;  // without parameters
    require(marker != 0xD9 && marker != 0xDA, "open ", file.name(),
            ": damaged jpeg, it ends before it says how large it is; get the file again");
    const std::uint32_t length = file.big(at, 2);
    require(length >= 2, "open ", file.name(), ": damaged jpeg, a segment of length ", length,
            " at byte ", at, "; get the file again");
    file.need(at, length);
    const bool is_frame =
        marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
    if (is_frame) {
      header.height = static_cast<int>(file.big(at + 3, 2));
      header.width = static_cast<int>(file.big(at + 5, 2));
      return header;
    }
    const Bytes content = file.part(at + 2, length - 2);
    if (marker == 0xE1 && !oriented && starts_with(content, "Exif")) {
      header.orientation = exif_orientation(content);
      oriented = true;
    }
    at += length;
  }
}

/// Walks all chunks to the end mark, so that a file cut anywhere is known before decoding.
ImageHeader read_png(const Reader& file) {
  constexpr std::uint64_t kFirstChunk = 8;
  require(file.tag(kFirstChunk + 4, "IHDR") && file.big(kFirstChunk, 4) == 13, "open ", file.name(),
          ": damaged png, it does not begin with its header; get the file again");
  ImageHeader header{ImageKind::kPng};
  const std::uint32_t width = file.big(16, 4);
  const std::uint32_t height = file.big(20, 4);
  check_image_size(width, height, "open " + file.name());
  header.width = static_cast<int>(width);
  header.height = static_cast<int>(height);
  for (std::uint64_t at = kFirstChunk;;) {
    const std::uint64_t length = file.big(at, 4);
    file.need(at + 8, length + 4);
    if (file.tag(at + 4, "eXIf")) header.orientation = exif_orientation(file.part(at + 8, length));
    if (file.tag(at + 4, "IEND")) return header;
    at += length + 12;
  }
}

ImageHeader read_webp(const Reader& file) {
  ImageHeader header{ImageKind::kWebp};
  const std::uint64_t end = std::uint64_t{file.little(4, 4)} + 8;
  file.need(0, end);
  for (std::uint64_t at = 12; at + 8 <= end;) {
    const std::uint64_t length = file.little(at + 4, 4);
    const std::uint64_t content = at + 8;
    file.need(content, length);
    const bool sized = header.width > 0;
    if (file.tag(at, "VP8X") && !sized) {
      constexpr std::uint32_t kAnimation = 0x02;
      require((file.little(content, 1) & kAnimation) == 0, "open ", file.name(),
              ": an animation; save one of its pictures by itself");
      header.width = static_cast<int>(file.little(content + 4, 3) + 1);
      header.height = static_cast<int>(file.little(content + 7, 3) + 1);
    } else if (file.tag(at, "VP8L") && !sized) {
      const std::uint32_t sides = file.little(content + 1, 4);  // 14 bits each
      header.width = static_cast<int>((sides & 0x3FFF) + 1);
      header.height = static_cast<int>((sides >> 14 & 0x3FFF) + 1);
    } else if (file.tag(at, "VP8 ") && !sized) {
      header.width = static_cast<int>(file.little(content + 6, 2) & 0x3FFF);
      header.height = static_cast<int>(file.little(content + 8, 2) & 0x3FFF);
    } else if (file.tag(at, "EXIF")) {
      header.orientation = exif_orientation(file.part(content, length));
    }
    at = content + length + length % 2;
  }
  return header;
}

ImageHeader read_bmp(const Reader& file) {
  const std::uint32_t info = file.little(14, 4);
  require(info >= 40 && info <= 124, "open ", file.name(),
          ": a bmp of another kind (its header has ", info,
          " bytes, 40 to 124 are expected); save it as png");
  const auto width = static_cast<std::int32_t>(file.little(18, 4));
  const auto signed_height = static_cast<std::int32_t>(file.little(22, 4));
  // Rows from the top down are told by a negative height.
  const std::int64_t height = std::abs(std::int64_t{signed_height});
  check_image_size(width, height, "open " + file.name());

  const std::uint32_t bits = file.little(28, 2);
  const std::uint32_t compression = file.little(30, 4);
  constexpr std::uint32_t kPlain = 0;
  constexpr std::uint32_t kMasks = 3;
  const bool usual_masks =
      compression == kMasks &&
      ((bits == 32 && file.little(54, 4) == 0xFF0000 && file.little(58, 4) == 0xFF00) ||
       (bits == 16 && file.little(58, 4) == 0x7E0 && file.little(62, 4) == 0x1F));
  const bool usual_bits = bits == 1 || bits == 4 || bits == 8 || bits == 24 || bits == 32;
  require((compression == kPlain && usual_bits) || usual_masks, "open ", file.name(), ": a bmp of ",
          bits, " bits a pixel and compression ", compression,
          ", which is not supported; save it as png");
  if (bits <= 8) {
    const std::uint32_t colors = file.little(46, 4);  // 0 stands for all
    require(colors <= 256, "open ", file.name(), ": damaged bmp, a palette of ", colors,
            " colours; get the file again");
    file.need(14 + info, 4 * (colors == 0 ? 1U << bits : colors));
  }
  const std::uint64_t row = (std::uint64_t{static_cast<std::uint32_t>(width)} * bits + 31) / 32 * 4;
  file.need(file.little(10, 4), row * static_cast<std::uint64_t>(height));
  return {ImageKind::kBmp, width, static_cast<int>(height)};
}

ImageHeader read_by_kind(const Reader& file, Bytes bytes) {
  using namespace std::string_view_literals;
  if (starts_with(bytes, "\xFF\xD8\xFF"sv)) return read_jpeg(file);
  if (starts_with(bytes, "\x89PNG\r\n\x1A\n"sv)) return read_png(file);
  if (starts_with(bytes, "RIFF") && starts_with(bytes, "WEBP", 8)) return read_webp(file);
  if (starts_with(bytes, "BM")) return read_bmp(file);
  require(!bytes.empty(), "open ", file.name(), ": the file is empty; get it again");
  require(false, "open ", file.name(),
          ": not a picture of a known kind (its first bytes are not those of jpeg, png, webp or "
          "bmp); save it as one of these");
  return {};
}

}  // namespace

void check_image_size(std::int64_t width, std::int64_t height, const std::string& doing) {
  require(width > 0 && height > 0, doing, ": the picture is ", width, " x ", height,
          " pixels; both sides must be at least 1");
  require(width <= kMaxImageSide && height <= kMaxImageSide, doing, ": the picture is ", width,
          " x ", height, " pixels, at most ", kMaxImageSide, " a side are read; make it smaller");
  require(width * height <= kMaxImagePixels, doing, ": the picture is ", width, " x ", height,
          " pixels, ", (width * height + 500'000) / 1'000'000, " megapixels, at most ",
          kMaxImagePixels / 1'000'000, " are read; make it smaller");
}

ImageHeader read_image_header(Bytes bytes, const std::string& name) {
  const ImageHeader header = read_by_kind(Reader(bytes, name), bytes);
  check_image_size(header.width, header.height, "open " + io::quote(name));
  return header;
}

}  // namespace groma
