#include "io/file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "folders.h"
#include "io/message.h"
#include "io/new_folder.h"

namespace groma::io {
namespace {

namespace fs = std::filesystem;
using ::groma::testing::holds;
using ::groma::testing::message_of;
using ::groma::testing::TemporaryFolder;

std::size_t files_in(const fs::path& folder) {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(File, QuoteEscapesControlCharactersAndCuts) {
  EXPECT_EQ(quote("a\x1b[2J\n"), "'a\\x1b[2J\\x0a'");
  EXPECT_EQ(quote("abcdef", 3), "'abc...'");
  EXPECT_EQ(quote("abc", 3), "'abc'");
}

TEST(NewFolder, WhatHoldsSomethingIsRefused) {
  const TemporaryFolder folder;
  const auto message = [](const std::string& path) {
    return message_of([&] { require_new_folder(path, "write it"); });
  };
  const auto inside = (folder.path() / "new").string();
  EXPECT_NO_THROW(require_new_folder(inside, "write it"));
  EXPECT_FALSE(fs::exists(inside));
  EXPECT_NO_THROW(require_new_folder(folder.path().string(), "write it"));
  write_file(inside, "a file");
  EXPECT_EQ(message(inside),
            "write it: '" + inside + "' exists and is not an empty folder; give a new one");
  EXPECT_TRUE(holds(message(folder.path().string()), "not an empty folder"));
  EXPECT_TRUE(holds(message(""), "no name"));
}

TEST(File, MapsWhatWasWritten) {
  const TemporaryFolder folder;
  const auto path = (folder.path() / "a").string();
  write_file(path, std::string("one\0two", 7));
  const auto file = MappedFile::open(path);
  EXPECT_EQ(file->bytes(), std::string_view("one\0two", 7));
  EXPECT_EQ(file->path(), path);
}

TEST(File, AnEmptyFileMapsToNothing) {
  const TemporaryFolder folder;
  write_file((folder.path() / "a").string(), "");
  const auto file = MappedFile::open((folder.path() / "a").string());
  EXPECT_EQ(file->size(), 0u);
  file->release(0, 10);
}

TEST(File, ReleasedPagesAreReadAgain) {
  const TemporaryFolder folder;
  const auto path = (folder.path() / "a").string();
  const std::string contents(20'000, 'x');
  write_file(path, contents);
  const auto file = MappedFile::open(path);
  EXPECT_EQ(file->bytes(), contents);
  file->release(5'000, 9'000);
  file->release(19'999, std::numeric_limits<std::size_t>::max());
  file->release(20'000, 1);
  EXPECT_EQ(file->bytes(), contents);
}

TEST(File, AReplacedFileKeepsItsOldContentsMapped) {
  const TemporaryFolder folder;
  const auto path = (folder.path() / "a").string();
  write_file(path, "old");
  const auto file = MappedFile::open(path);
  write_file(path, "new and longer");
  EXPECT_EQ(file->bytes(), "old");
  EXPECT_EQ(read_text_file(path, 100), "new and longer");
}

TEST(File, RefusesWhatCannotBeMapped) {
  const TemporaryFolder folder;
  const auto missing = message_of([&] { MappedFile::open((folder.path() / "none").string()); });
  EXPECT_TRUE(holds(missing, "none': No such file or directory"));
  const auto directory = message_of([&] { MappedFile::open(folder.path().string()); });
  EXPECT_TRUE(holds(directory, "found a folder"));
  const auto pipe = (folder.path() / "pipe").string();
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_TRUE(holds(message_of([&] { MappedFile::open(pipe); }), "found a pipe or device"));
  const auto pointer = (folder.path() / "pointer").string();
  write_file(pointer, "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n");
  EXPECT_TRUE(holds(message_of([&] { MappedFile::open(pointer); }), "git lfs pull"));
}

TEST(File, TextIsReadUpToTheLimit) {
  const TemporaryFolder folder;
  const auto path = (folder.path() / "a").string();
  write_file(path, std::string(100'000, 'y'));
  EXPECT_EQ(read_text_file(path, 100'000).size(), 100'000u);
  EXPECT_TRUE(holds(message_of([&] { read_text_file(path, 99'999); }), "more than 99999 bytes"));
  EXPECT_TRUE(holds(message_of([&] { read_text_file(folder.path().string(), 9); }), "a folder"));
}

TEST(File, TextIsReadFromAPipe) {
  const TemporaryFolder folder;
  const auto path = (folder.path() / "pipe").string();
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  std::thread writer([&] { std::ofstream(path) << "through a pipe"; });
  EXPECT_EQ(read_text_file(path, 100), "through a pipe");
  writer.join();
}

TEST(File, NothingIsLeftOfAFileThatWasNotCommitted) {
  const TemporaryFolder folder;
  const auto path = (folder.path() / "a").string();
  write_file(path, "kept");
  {
    AtomicFile file(path);
    file.write("half");
    EXPECT_EQ(files_in(folder.path()), 2u);
    EXPECT_EQ(read_text_file(path, 100), "kept");
  }
  EXPECT_EQ(files_in(folder.path()), 1u);
  EXPECT_EQ(read_text_file(path, 100), "kept");
}

TEST(File, AMovedAtomicFileIsCommittedOnce) {
  const TemporaryFolder folder;
  const auto path = (folder.path() / "a").string();
  {
    AtomicFile first(path);
    first.write("one ");
    AtomicFile second(std::move(first));
    second.write("two");
    second.commit();
  }
  EXPECT_EQ(read_text_file(path, 100), "one two");
  EXPECT_EQ(files_in(folder.path()), 1u);
}

TEST(File, AFullDiskLeavesTheOldFile) {
  const TemporaryFolder folder;
  const auto path = (folder.path() / "a").string();
  write_file(path, "kept");
  // The limit on a file's size fails a write as a full disk does, once its signal is ignored.
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 4096;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto message = message_of([&] { write_file(path, std::string(10'000, 'z')); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_TRUE(holds(message, "nothing was changed"));
  EXPECT_EQ(read_text_file(path, 100), "kept");
  EXPECT_EQ(files_in(folder.path()), 1u);
}

TEST(File, WritingThroughALinkReplacesItsTarget) {
  const TemporaryFolder folder;
  const auto target = (folder.path() / "target").string();
  const auto link = (folder.path() / "link").string();
  write_file(target, "old");
  fs::create_symlink(target, link);
  write_file(link, "new");
  EXPECT_EQ(read_text_file(target, 100), "new");
  EXPECT_TRUE(fs::is_symlink(link));
  fs::remove(target);
  EXPECT_TRUE(holds(message_of([&] { write_file(link, "x"); }), "leads nowhere"));
}

TEST(File, RefusesToReadADevice) {  // some never end
  const auto message = message_of([&] { read_text_file("/dev/zero", 1 << 30); });
  EXPECT_TRUE(holds(message, "a device, expected a file"));
}

TEST(File, RefusesToReplaceWhatIsNoFile) {
  const TemporaryFolder folder;
  EXPECT_TRUE(holds(message_of([&] { write_file(folder.path().string(), "x"); }), "a folder"));
  EXPECT_TRUE(holds(message_of([&] { write_file("/dev/null", "x"); }), "device"));
  const auto nowhere = (folder.path() / "none" / "a").string();
  EXPECT_TRUE(holds(message_of([&] { write_file(nowhere, "x"); }), "the folder exists"));
}

TEST(File, AFileHasTheUsualPermissions) {
  const TemporaryFolder folder;
  const auto path = (folder.path() / "a").string();
  const auto mask = ::umask(022);
  write_file(path, "x");
  ::umask(mask);
  EXPECT_EQ(fs::status(path).permissions(), static_cast<fs::perms>(0644));
}

TEST(File, MakesFolders) {
  const TemporaryFolder folder;
  make_folder((folder.path() / "a" / "b").string());
  make_folder((folder.path() / "a" / "b").string());
  EXPECT_TRUE(fs::is_directory(folder.path() / "a" / "b"));
  write_file((folder.path() / "file").string(), "x");
  const auto message = message_of([&] { make_folder((folder.path() / "file").string()); });
  EXPECT_TRUE(holds(message, "make folder"));
}

}  // namespace
}  // namespace groma::io
