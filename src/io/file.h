#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace groma::io {

/// A piece of a file or a name for use in a message: in single quotes, control characters as \xNN,
/// cut after `most` bytes.
std::string quote(std::string_view text, std::size_t most = 160);

/// A whole file as read-only memory.
///
/// The memory is the file: another program that overwrites it in place changes what is read here,
/// and one that shortens it ends this program at the next access past its end (SIGBUS). Replacing
/// the file by renaming, as AtomicFile does, is harmless: the old contents stay mapped.
class MappedFile {
 public:
  /// throws    Error when the file is missing, unreadable, not a regular file, or a Git LFS pointer
  static std::shared_ptr<const MappedFile> open(const std::string& path);

  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  const char* data() const { return data_; }  ///< null when the file is empty
  std::size_t size() const { return size_; }  ///< bytes
  std::string_view bytes() const { return {data_, size_}; }

  /// Lets the system take back the memory of these bytes; they are read again when next used.
  void release(std::size_t begin, std::size_t count) const;

 private:
  explicit MappedFile(std::string path);

  std::string path_;
  const char* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Reads a file of at most `max_bytes`; works on pipes too.
///
/// throws    Error when it is missing, unreadable, a folder, a device or larger
std::string read_text_file(const std::string& path, std::size_t max_bytes);

/// The same of a regular file alone: a pipe among a checkpoint's files would keep the program
/// waiting.
std::string read_regular_file(const std::string& path, std::size_t max_bytes);

/// Writes a file whole or not at all.
///
/// Bytes go to a hidden temporary file in the same folder, which takes the final name in `commit`
/// and is removed when that is never reached. Where the name is a link, the file it points to is
/// replaced. All members throw Error when the system refuses.
///
///     AtomicFile file("answer.json");
///     file.write(text);
///     file.commit();
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;

  void write(std::string_view bytes);

  /// Brings the bytes written so far to the disk.
  void sync();

  /// Syncs and gives the file its name; nothing can be written afterwards.
  void commit();

  const std::string& path() const { return path_; }  ///< final name

 private:
  std::string path_;
  std::string temporary_;  ///< empty once committed or moved from
  int descriptor_ = -1;
};

/// Writes `contents` as the whole file at `path`; see AtomicFile.
void write_file(const std::string& path, std::string_view contents);

/// The extension of a file's name in small letters: "a/B.PNG" -> ".png".
std::string lower_extension(const std::string& path);

/// Makes a folder and those above it where they are missing.
///
/// throws    Error when that fails or a file has the name
void make_folder(const std::string& path);

}  // namespace groma::io
