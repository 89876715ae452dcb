#pragma once

#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace groma::eval {

/// Reads JSON text value by value, in one pass and without a tree, so that annotation files of
/// gigabytes cost no more memory than what is kept of them.
///
/// Every message names the file and the place, as in `a.json: annotations[17].bbox[2]: ...`.
/// Python's NaN and Infinity, which are not JSON, are recognised and refused by name.
/// The text must outlive the reader.
class JsonReader {
 public:
  enum class Kind { kObject, kArray, kString, kNumber, kBool, kNull };

  /// name      stands for the text in messages
  JsonReader(std::string_view text, const std::string& name);

  /// What the next value is, by its first character.
  Kind peek();

  /// Calls `on_member(key)` for each member; a value that it leaves unread is skipped. A key is
  /// valid until the next one.
  template <typename OnMember>
  void object(OnMember&& on_member) {
    for (bool more = open('{', "an object"); more; more = next('}')) {
      const std::string_view key = read_key();
      const std::size_t before = at_;
      on_member(key);
      if (at_ == before) skip();
    }
    close();
  }

  /// Calls `on_item(index)` for each item; a value that it leaves unread is skipped.
  template <typename OnItem>
  void array(OnItem&& on_item) {
    std::size_t index = 0;
    for (bool more = open('[', "a list"); more; more = next(']')) {
      frames_.back().index = index;
      const std::size_t before = at_;
      on_item(index++);
      if (at_ == before) skip();
    }
    close();
  }

  double number();         ///< finite
  float float_number();    ///< finite; a float's shortest decimal reads back as that float
  std::int64_t integer();  ///< a number written without fraction or exponent
  bool flag();             ///< true, false, 1, 0 or null (false)
  std::string string();
  std::vector<double> numbers();
  std::vector<std::int64_t> integers();
  std::vector<std::string> strings();

  /// Steps over the next value, checking only that brackets and strings are closed.
  void skip();

  /// Text of the next value, stepped over; JSON throughout.
  std::string_view raw();

  /// Refuses anything but white space after the value.
  void finish();

  /// Path of the value being read, for example "annotations[17].bbox[2]".
  std::string where() const;

  /// Throws an Error that names the file, the place and what was found and expected there.
  template <typename... Parts>
  void demand(bool condition, const Parts&... parts) const {
    if (condition) [[likely]]
      return;
    std::ostringstream message;
    (message << ... << parts);
    refuse(message.str());
  }

 private:
  struct Frame {
    bool is_object;
    std::size_t index;     ///< of the item
    std::string_view key;  ///< of the member, as written
  };

  [[noreturn]] void refuse(const std::string& message) const;
  void blanks();
  bool open(char bracket, const char* what);
  bool next(char bracket);
  void close();
  std::string_view read_key();
  std::string_view string_body();  ///< between the quotes, escapes as written
  std::string unescape(std::string_view body) const;
  std::string_view number_text();
  std::string found() const;  ///< the next value in words, for messages

  std::string_view text_;
  std::string name_;
  std::size_t at_ = 0;
  std::vector<Frame> frames_;
  std::string key_;  ///< a key that had escapes
};

}  // namespace groma::eval
