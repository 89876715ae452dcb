#include "train/event_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <iterator>

namespace groma::train {
namespace {

TEST(EventFile, ChecksumsAreCastagnolis) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);  // RFC 3720, appendix B.4 and common tables
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
}

uint32_t masked(const std::string& bytes) {
  const auto crc = crc32c(bytes);
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

// Whole records of length, checksum, message, checksum; the message of a scalar byte by byte.
TEST(EventFile, ScalarsAreWrittenAsTensorBoardReadsThem) {
  const auto folder = std::filesystem::temp_directory_path() / "groma-events";
  std::filesystem::remove_all(folder);
  {
    EventFile events(folder.string(), 4);
    events.add(300, "train/loss", 0.5);
  }
  std::filesystem::path path;
  for (const auto& file : std::filesystem::directory_iterator(folder)) path = file.path();
  EXPECT_NE(path.filename().string().find("tfevents"), std::string::npos);
  std::ifstream in(path, std::ios::binary);
  const std::string all((std::istreambuf_iterator<char>(in)), {});
  std::vector<std::string> events;
  for (size_t at = 0; at < all.size();) {
    uint64_t length = 0;
    uint32_t crc = 0;
    std::memcpy(&length, &all[at], 8);
    std::memcpy(&crc, &all[at + 8], 4);
    EXPECT_EQ(crc, masked(all.substr(at, 8)));
    events.push_back(all.substr(at + 12, length));
    std::memcpy(&crc, &all[at + 12 + length], 4);
    EXPECT_EQ(crc, masked(events.back()));
    at += 16 + length;
  }
  ASSERT_EQ(events.size(), 3u);
  EXPECT_NE(events[0].find("brain.Event:2"), std::string::npos);
  EXPECT_EQ(events[1].substr(9), std::string("\x10\x04\x3a\x02\x08\x01", 6));  // start at step 4
  std::string scalar("\x10\xac\x02\x2a\x13\x0a\x11\x0a\x0atrain/loss\x15", 20);
  scalar += std::string("\0\0\0\x3f", 4);  // 0.5
  EXPECT_EQ(events[2].substr(9), scalar);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace groma::train
