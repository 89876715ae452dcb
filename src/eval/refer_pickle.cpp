#include "eval/refer_pickle.h"

#include <bit>
#include <charconv>
#include <cmath>
#include <unordered_map>

#include "check.h"
#include "io/file.h"
#include "io/unpickle.h"

namespace groma::eval {
namespace {

constexpr const char* kDamaged = "; the file is damaged, fetch it again";
constexpr std::size_t kMostKeys = 1000;  // of a dict, as they are searched one by one

void append_code_point(std::string& out, std::uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
  } else if (code < 0x10000) {
    out += {static_cast<char>(0xE0 | code >> 12), static_cast<char>(0x80 | (code >> 6 & 0x3F)),
            static_cast<char>(0x80 | (code & 0x3F))};
  } else {
    out +=
        {static_cast<char>(0xF0 | (code >> 18 & 7)), static_cast<char>(0x80 | (code >> 12 & 0x3F)),
         static_cast<char>(0x80 | (code >> 6 & 0x3F)), static_cast<char>(0x80 | (code & 0x3F))};
  }
}

/// Backslash escapes of a Python text literal; `wide` adds \u and \U.
std::string unescape(std::string_view text, bool wide) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      // A raw byte of a text of protocol 0 stands for its Latin-1 character.
      if (wide) {
        append_code_point(out, static_cast<unsigned char>(text[i]));
      } else {
        out += text[i];
      }
      continue;
    }
    const char c = text[++i];
    const std::size_t digits = c == 'x' && !wide  ? 2
                               : c == 'u' && wide ? 4
                               : c == 'U' && wide ? 8
                                                  : 0;
    std::uint32_t code = 0;
    const char* begin = text.data() + i + 1;
    if (digits > 0 && i + digits < text.size() &&
        std::from_chars(begin, begin + digits, code, 16).ptr == begin + digits) {
      if (wide) {
        append_code_point(out, code);
      } else {
        out += static_cast<char>(code);
      }
      i += digits;
      continue;
    }
    static constexpr std::string_view kFrom = "\\'\"nrt", kTo = "\\'\"\n\r\t";
    const auto known = wide ? std::string_view::npos : kFrom.find(c);
    if (known == std::string_view::npos) {
      out += '\\';
      out += c;
    } else {
      out += kTo[known];
    }
  }
  return out;
}

/// The stack machine that a pickle is a program for, without the opcodes that can do harm.
class Machine {
 public:
  Machine(std::string_view pickle, const std::string& name)
      : text_(pickle), where_("read " + io::quote(name) + ": pickle: ") {}

  Pickle run() {
    for (;;) {
      const std::size_t at = at_;
      const unsigned char opcode = byte();
      if (opcode == '.') break;
      step(opcode, at);
    }
    require(stack_.size() == 1 && marks_.empty(), where_, stack_.size(),
            " values are left at the end, expected one", kDamaged);
    out_.root = stack_[0];
    return std::move(out_);
  }

 private:
  using List = PickleValue::List;
  using Dict = PickleValue::Dict;

  void step(unsigned char opcode, std::size_t at) {
    if (!scalar(opcode) && !container(opcode) && !memo(opcode)) {
      require(false, where_, "opcode ", io::opcode_name(opcode), " (byte ", at,
              ") is refused: a list of references needs only lists, dicts, texts and numbers; the "
              "file is damaged or hostile");
    }
  }

  bool scalar(unsigned char opcode) {
    switch (opcode) {
      case 0x80:
        require(byte() <= 4, where_, "newer than protocol 4; save it again with protocol 2");
        return true;
      case 0x95:
        number(8);  // frames only help reading ahead
        return true;
      case 'N':
        return push({});
      case 0x88:
        return push(true);
      case 0x89:
        return push(false);
      case 'K':
        return push(static_cast<std::int64_t>(number(1)));
      case 'M':
        return push(static_cast<std::int64_t>(number(2)));
      case 'J':
        return push(std::int64_t{static_cast<std::int32_t>(number(4))});
      case 'I':
      case 'L':
        return push_decimal(line());
      case 0x8a:
        return push(long_number(number(1)));
      case 0x8b:
        return push(long_number(number(4)));
      case 'F':
        return push_float(line());
      case 'G':
        return push_binary_float();
      default:
        return text(opcode);
    }
  }

  bool text(unsigned char opcode) {
    switch (opcode) {
      case 'S': {
        const std::string_view quoted = line();
        require(quoted.size() >= 2 && quoted.front() == quoted.back(), where_,
                "a text without quotes", kDamaged);
        return push(unescape(quoted.substr(1, quoted.size() - 2), false));
      }
      case 'V':
        return push(unescape(line(), true));
      case 'U':
      case 0x8c:
        return push(std::string(take(number(1))));
      case 'T':
      case 'X':
        return push(std::string(take(number(4))));
      case 0x8d:
        return push(std::string(take(number(8))));
      default:
        return false;
    }
  }

  bool container(unsigned char opcode) {
    switch (opcode) {
      case '(':
        marks_.push_back(stack_.size());
        return true;
      case ']':
        return push(List{});
      case '}':
        return push(Dict{});
      case 'l':
        return push(List(pop_to_mark()));
      case 'd': {
        const auto items = pop_to_mark();
        push(Dict{});
        return set_items(items);
      }
      case 'a':
        return append({pop()});
      case 'e':
        return append(pop_to_mark());
      case 's': {
        const auto* value = pop();
        const auto* key = pop();
        return set_items({key, value});
      }
      case 'u':
        return set_items(pop_to_mark());
      case '0':
        pop();
        return true;
      case '1':
        pop_to_mark();
        return true;
      case '2':
        stack_.push_back(top());
        return true;
      default:
        return false;
    }
  }

  bool memo(unsigned char opcode) {
    switch (opcode) {
      case 'p':
        return remember(decimal(line()));
      case 'q':
        return remember(number(1));
      case 'r':
        return remember(number(4));
      case 0x94:
        return remember(memo_.size());
      case 'g':
        return recall(decimal(line()));
      case 'h':
        return recall(number(1));
      case 'j':
        return recall(number(4));
      default:
        return false;
    }
  }

  // --- bytes

  unsigned char byte() { return static_cast<unsigned char>(take(1)[0]); }

  std::string_view take(std::uint64_t count) {
    require(count <= text_.size() - at_, where_, "ends inside a value at byte ", text_.size(),
            kDamaged);
    at_ += count;
    return text_.substr(at_ - count, count);
  }

  std::uint64_t number(int bytes) {
    const std::string_view raw = take(bytes);
    std::uint64_t value = 0;
    for (int i = bytes; i-- > 0;) value = value << 8 | static_cast<unsigned char>(raw[i]);
    return value;
  }

  std::string_view line() {
    const std::size_t end = text_.find('\n', at_);
    require(end != std::string_view::npos, where_, "ends inside a line", kDamaged);
    const std::string_view out = text_.substr(at_, end - at_);
    at_ = end + 1;
    return out.ends_with('\r') ? out.substr(0, out.size() - 1) : out;
  }

  std::int64_t decimal(std::string_view digits) {
    if (digits.ends_with('L')) digits.remove_suffix(1);
    std::int64_t value = 0;
    const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    require(result.ec == std::errc() && result.ptr == digits.data() + digits.size(), where_,
            "found ", io::quote(digits, 30), ", expected a whole number of 64 bits");
    return value;
  }

  std::int64_t long_number(std::uint64_t count) {
    require(count <= 8, where_, "a number of ", count, " bytes, at most 8 are read");
    std::uint64_t value = number(static_cast<int>(count));
    const int unused = 64 - 8 * static_cast<int>(count);
    if (unused == 64) return 0;
    return static_cast<std::int64_t>(value << unused) >> unused;
  }

  // --- values

  bool push(decltype(PickleValue::data) data) {
    stack_.push_back(&out_.values.emplace_back(PickleValue{std::move(data)}));
    return true;
  }

  bool push_decimal(std::string_view digits) {
    if (digits == "00" || digits == "01") return push(digits == "01");
    return push(decimal(digits));
  }

  bool push_float(std::string_view digits) {
    double value = 0;
    const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    require(result.ec == std::errc() && result.ptr == digits.data() + digits.size(), where_,
            "found ", io::quote(digits, 30), ", expected a number");
    return push(value);
  }

  bool push_binary_float() {
    std::uint64_t bits = 0;
    for (const char c : take(8)) bits = bits << 8 | static_cast<unsigned char>(c);
    return push(std::bit_cast<double>(bits));
  }

  PickleValue* top() {
    const std::size_t bottom = marks_.empty() ? 0 : marks_.back();
    require(stack_.size() > bottom, where_, "takes a value from an empty stack", kDamaged);
    return stack_.back();
  }

  PickleValue* pop() {
    PickleValue* value = top();
    stack_.pop_back();
    return value;
  }

  List pop_to_mark() {
    require(!marks_.empty(), where_, "a list without its beginning", kDamaged);
    List items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }

  bool append(const List& items) {
    auto* list = std::get_if<List>(&top()->data);
    require(list != nullptr, where_, "appends to what is no list", kDamaged);
    list->insert(list->end(), items.begin(), items.end());
    return true;
  }

  bool set_items(const List& items) {
    auto* dict = std::get_if<Dict>(&top()->data);
    require(dict != nullptr && items.size() % 2 == 0, where_, "sets items of what is no dict",
            kDamaged);
    require(dict->size() + items.size() / 2 <= kMostKeys, where_, "a dict of more than ", kMostKeys,
            " entries; a reference has some ten", kDamaged);
    for (std::size_t i = 0; i < items.size(); i += 2) dict->emplace_back(items[i], items[i + 1]);
    return true;
  }

  bool remember(std::uint64_t place) {
    memo_[place] = top();
    return true;
  }

  bool recall(std::uint64_t place) {
    const auto known = memo_.find(place);
    require(known != memo_.end(), where_, "recalls a value that was never kept", kDamaged);
    stack_.push_back(known->second);
    return true;
  }

  std::string_view text_;
  std::string where_;
  std::size_t at_ = 0;
  std::vector<PickleValue*> stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::uint64_t, PickleValue*> memo_;
  Pickle out_;
};

bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t more = lead < 0x80   ? 0
                             : lead < 0xC2 ? 9
                             : lead < 0xE0 ? 1
                             : lead < 0xF0 ? 2
                             : lead < 0xF5 ? 3
                                           : 9;
    if (more == 9 || i + more >= text.size()) return false;
    for (std::size_t k = 1; k <= more; ++k) {
      if ((static_cast<unsigned char>(text[i + k]) & 0xC0) != 0x80) return false;
    }
    i += more + 1;
  }
  return true;
}

}  // namespace

Pickle read_pickle(std::string_view pickle, const std::string& name) {
  return Machine(pickle, name).run();
}

PickleCursor::PickleCursor(const PickleValue& value, std::string file, std::string path)
    : value_(&value), file_(std::move(file)), path_(std::move(path)) {}

void PickleCursor::refuse(const char* expected) const {
  static constexpr const char* kKinds[] = {"None",   "a truth value", "a whole number", "a number",
                                           "a text", "a list",        "a dict"};
  require(false, "read ", io::quote(file_), ": ", path_, ": found ", kKinds[value_->data.index()],
          ", expected ", expected);
  __builtin_unreachable();
}

std::size_t PickleCursor::size() const {
  const auto* list = std::get_if<PickleValue::List>(&value_->data);
  if (list == nullptr) refuse("a list");
  return list->size();
}

PickleCursor PickleCursor::at(std::size_t index) const {
  const auto* list = std::get_if<PickleValue::List>(&value_->data);
  if (list == nullptr) refuse("a list");
  return {*list->at(index), file_, path_ + '[' + std::to_string(index) + ']'};
}

bool PickleCursor::has(const char* key) const {
  const auto* dict = std::get_if<PickleValue::Dict>(&value_->data);
  if (dict == nullptr) refuse("a dict");
  for (const auto& [name, value] : *dict) {
    const auto* text = std::get_if<std::string>(&name->data);
    if (text != nullptr && *text == key) return true;
  }
  return false;
}

PickleCursor PickleCursor::field(const char* key) const {
  const auto* dict = std::get_if<PickleValue::Dict>(&value_->data);
  if (dict == nullptr) refuse("a dict");
  const PickleValue* found = nullptr;
  for (const auto& [name, value] : *dict) {
    const auto* text = std::get_if<std::string>(&name->data);
    if (text != nullptr && *text == key) found = value;  // as in Python the last one stays
  }
  require(found != nullptr, "read ", io::quote(file_), ": ", path_, ": no '", key, "'");
  return {*found, file_, path_ + '.' + key};
}

std::int64_t PickleCursor::integer() const {
  const auto* value = std::get_if<std::int64_t>(&value_->data);
  if (value == nullptr) refuse("a whole number");
  return *value;
}

std::string PickleCursor::text() const {
  const auto* value = std::get_if<std::string>(&value_->data);
  if (value == nullptr) refuse("a text");
  if (is_utf8(*value)) return *value;
  std::string out;
  for (const char c : *value) append_code_point(out, static_cast<unsigned char>(c));
  return out;
}

std::vector<std::string> PickleCursor::texts() const {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < size(); ++i) out.push_back(at(i).text());
  return out;
}

PickleWriter::PickleWriter() : out_("\x80\x02") {}
void PickleWriter::begin_list() { out_ += "]("; }
void PickleWriter::end_list() { out_ += 'e'; }
void PickleWriter::begin_dict() { out_ += "}("; }
void PickleWriter::end_dict() { out_ += 'u'; }

void PickleWriter::integer(std::int64_t value) {
  out_ += {'\x8a', '\x08'};
  for (int i = 0; i < 8; ++i) out_ += static_cast<char>(static_cast<std::uint64_t>(value) >> 8 * i);
}

void PickleWriter::text(const std::string& value) {
  out_ += 'X';
  for (int i = 0; i < 4; ++i) out_ += static_cast<char>(value.size() >> 8 * i);
  out_ += value;
}

std::string PickleWriter::finish() {
  out_ += '.';
  return std::move(out_);
}

}  // namespace groma::eval
