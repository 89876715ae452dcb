#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace groma::eval {

/// Plain data from a pickle.
struct PickleValue {
  using List = std::vector<const PickleValue*>;
  using Dict = std::vector<std::pair<const PickleValue*, const PickleValue*>>;
  std::variant<std::monostate, bool, std::int64_t, double, std::string, List, Dict> data;
};

/// The values of a pickle; they refer to each other and live as long as this object.
struct Pickle {
  std::deque<PickleValue> values;
  const PickleValue* root = nullptr;
};

/// Reads a pickle of lists, dicts, texts, numbers, None and truth values, protocols 0 to 4.
///
/// A pickle is a program. Opcodes that name, build or call something are refused by name, nothing
/// is ever executed, and memory is bounded by the length of the pickle.
/// name      stands for the file in messages
/// throws    Error
/// source    CPython Lib/pickletools.py
Pickle read_pickle(std::string_view pickle, const std::string& name);

/// A walk into a pickle that remembers the way for its messages.
class PickleCursor {
 public:
  PickleCursor(const PickleValue& value, std::string file, std::string path);

  std::size_t size() const;  ///< of a list
  PickleCursor at(std::size_t index) const;
  PickleCursor field(const char* key) const;  ///< of a dict
  bool has(const char* key) const;            ///< of a dict
  std::int64_t integer() const;
  std::string text() const;  ///< UTF-8; what is not becomes so from Latin-1
  std::vector<std::string> texts() const;

 private:
  [[noreturn]] void refuse(const char* expected) const;

  const PickleValue* value_;
  std::string file_;
  std::string path_;
};

/// Writes plain data as a pickle of protocol 2, as the original refs(...).p are.
class PickleWriter {
 public:
  PickleWriter();
  void begin_list();
  void end_list();
  void begin_dict();
  void end_dict();
  void integer(std::int64_t value);
  void text(const std::string& value);
  std::string finish();

 private:
  std::string out_;
};

}  // namespace groma::eval
