#include "io/zip.h"

#include <gtest/gtest.h>

#include "folders.h"
#include "io/archives.h"
#include "io/message.h"

namespace groma::io {
namespace {

using ::groma::testing::holds;
using ::groma::testing::little;
using ::groma::testing::message_of;
using ::groma::testing::TemporaryFolder;
using ::groma::testing::Zip;

class ZipTest : public ::testing::Test {
 protected:
  /// Contents of all entries.
  std::map<std::string, std::string> read(const std::string& bytes) {
    const auto path = (folder_.path() / "a.zip").string();
    testing::write_bytes(path, bytes);
    const auto file = MappedFile::open(path);
    std::map<std::string, std::string> contents;
    for (const auto& [name, entry] : list_stored_zip(*file)) {
      contents[name] = std::string(file->bytes().substr(entry.begin, entry.size));
    }
    return contents;
  }

  std::string refusal(const std::string& bytes) {
    return message_of([&] { read(bytes); });
  }

  static Zip two() {
    Zip zip;
    zip.add("one", "first");
    zip.add("two", "second entry");
    return zip;
  }

  /// The bytes of `two` with some of them replaced, counted from the directory's record of 'one'.
  static std::string patched(std::size_t offset, const std::string& bytes) {
    auto archive = two().finish();
    return archive.replace(archive.find(little(0x02014b50, 4)) + offset, bytes.size(), bytes);
  }

  TemporaryFolder folder_;
};

TEST_F(ZipTest, ChecksumIsTheStandardOne) {
  EXPECT_EQ(crc32("123456789"), 0xCBF43926u);
  EXPECT_EQ(crc32(""), 0u);
}

TEST_F(ZipTest, ReadsStoredEntries) {
  const std::map<std::string, std::string> expected = {{"one", "first"}, {"two", "second entry"}};
  EXPECT_EQ(read(two().finish()), expected);
  EXPECT_EQ(read(two().finish("a comment")), expected);
  EXPECT_TRUE(read(Zip().finish()).empty());
  Zip wide;
  wide.zip64 = true;
  wide.add("one", "first");
  wide.add("two", "second entry");
  EXPECT_EQ(read(wide.finish()), expected);
}

TEST_F(ZipTest, RefusesWhatIsNotStored) {
  Zip packed;
  packed.method = 8;
  packed.add("one", "x");
  EXPECT_TRUE(holds(refusal(packed.finish()), "entry 'one' is compressed (method 8)"));
  EXPECT_TRUE(holds(refusal(patched(20, little(4, 4))), "is compressed"));  // packed size differs
  Zip secret;
  secret.flags = 1;
  secret.add("one", "x");
  EXPECT_TRUE(holds(refusal(secret.finish()), "is encrypted"));
}

TEST_F(ZipTest, RefusesDamage) {
  EXPECT_TRUE(holds(refusal(""), "no zip directory"));
  EXPECT_TRUE(holds(refusal(std::string(100'000, 'P')), "no zip directory"));
  EXPECT_TRUE(holds(refusal(patched(0, "XX")), "entry 0 of the zip directory is damaged"));
  EXPECT_TRUE(holds(refusal(patched(42, little(7, 4))), "no local header at 7"));
  EXPECT_TRUE(holds(refusal(patched(42, little(~0u, 4))), "no local header"));
  EXPECT_TRUE(holds(refusal(patched(46, "eno")), "its local header has another name"));
  EXPECT_TRUE(holds(refusal(patched(20, little(9'999, 4) + little(9'999, 4))), "reach into"));
  EXPECT_TRUE(holds(refusal(patched(28, little(60'000, 2))), "leaves the zip directory"));
  Zip twice;
  twice.add("one", "x");
  twice.add("one", "y");
  EXPECT_TRUE(holds(refusal(twice.finish()), "'one' stands twice"));
}

TEST_F(ZipTest, RefusesABadEndRecord) {
  const auto good = two().finish();
  const auto end = good.size() - 22;
  const auto with = [&](std::size_t offset, const std::string& bytes) {
    auto archive = good;
    return archive.replace(end + offset, bytes.size(), bytes);
  };
  EXPECT_TRUE(holds(refusal(with(4, little(1, 2))), "split over several files"));
  EXPECT_TRUE(holds(refusal(with(10, little(900, 2))), "cannot hold 900 entries"));
  EXPECT_TRUE(holds(refusal(with(10, little(1, 2))), "bytes too many"));
  EXPECT_TRUE(holds(refusal(with(12, little(70'000, 4))), "leaves the file"));
  EXPECT_TRUE(holds(refusal(with(16, little(70'000, 4))), "leaves the file"));
  EXPECT_TRUE(holds(refusal(with(20, little(5, 2))), "no zip directory"));
}

TEST_F(ZipTest, RefusesABadZip64Record) {
  Zip wide;
  wide.zip64 = true;
  wide.add("one", "first");
  const auto good = wide.finish();
  const auto locator = good.size() - 22 - 20;
  const auto with = [&](std::size_t at, const std::string& bytes) {
    auto archive = good;
    return archive.replace(at, bytes.size(), bytes);
  };
  EXPECT_TRUE(holds(refusal(with(locator + 8, little(~std::uint64_t{0}, 8))), "no zip64 record"));
  EXPECT_TRUE(holds(refusal(with(locator + 8, little(1, 8))), "no zip64 record"));
  const auto record = locator - 56;
  EXPECT_TRUE(holds(refusal(with(record + 32, little(~std::uint64_t{0}, 8))), "cannot hold"));
  EXPECT_TRUE(holds(refusal(with(record + 40, little(~std::uint64_t{0}, 8))), "leaves the file"));
  EXPECT_TRUE(holds(refusal(with(record + 48, little(~std::uint64_t{0}, 8))), "leaves the file"));
  const auto extra = good.find(little(0x02014b50, 4)) + 46 + 3;
  EXPECT_TRUE(holds(refusal(with(extra + 2, little(200, 2))), "extra fields leave the record"));
  EXPECT_TRUE(holds(refusal(with(extra + 2, little(16, 2))), "zip64 field is too short"));
  EXPECT_TRUE(holds(refusal(with(extra, little(2, 2))), "no local header"));
  EXPECT_TRUE(holds(refusal(with(extra + 4, little(~std::uint64_t{0}, 8))), "is compressed"));
}

TEST_F(ZipTest, EveryCutAndEveryFlippedBitIsAnErrorOrASoundListing) {
  for (const bool zip64 : {false, true}) {
    Zip zip;
    zip.zip64 = zip64;
    zip.add("one", "first");
    zip.add("two", "");
    const auto bytes = zip.finish();
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_THROW(read(bytes.substr(0, size)), Error) << size;
    }
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      auto flipped = bytes;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
      try {
        for (const auto& [name, contents] : read(flipped)) {
          ASSERT_LT(contents.size(), bytes.size()) << "bit " << bit;
        }
      } catch (const Error&) {
      }
    }
  }
}

}  // namespace
}  // namespace groma::io
