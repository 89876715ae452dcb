#include "eval/json_reader.h"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "check.h"
#include "io/file.h"

namespace groma::eval {
namespace {

constexpr std::size_t kMaxDepth = 64;   // annotation files nest six deep
constexpr std::size_t kMostShown = 40;  // bytes of a key or number in a message

bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

void append_utf8(std::string& out, std::uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | code >> 6);
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | code >> 12);
    out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | code >> 18);
    out += static_cast<char>(0x80 | (code >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

}  // namespace

JsonReader::JsonReader(std::string_view text, const std::string& name)
    : text_(text), name_(io::quote(name)) {
  if (text_.substr(0, 3) == "\xEF\xBB\xBF") at_ = 3;  // byte order mark
}

void JsonReader::refuse(const std::string& message) const {
  const std::string place = where();
  // A message is one line, whatever the keys and texts of the file hold.
  require(false, "read ", name_, ": ",
          printable(place + (place.empty() ? "" : ": ") + message, true));
  __builtin_unreachable();
}

void JsonReader::blanks() {
  while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
}

JsonReader::Kind JsonReader::peek() {
  blanks();
  demand(at_ < text_.size(), "the file ends at byte ", text_.size(),
         " where a value should follow; it was cut, fetch it again");
  switch (text_[at_]) {
    case '{':
      return Kind::kObject;
    case '[':
      return Kind::kArray;
    case '"':
      return Kind::kString;
    case 't':
    case 'f':
      return Kind::kBool;
    case 'n':
      return Kind::kNull;
    default:
      break;
  }
  const char c = text_[at_];
  demand((c >= '0' && c <= '9') || c == '-' || c == 'N' || c == 'I', "found '", c, "' at byte ",
         at_, ", expected a value; the file is not JSON here");
  return Kind::kNumber;
}

std::string JsonReader::found() const {
  switch (text_[at_]) {
    case '{':
      return "an object";
    case '[':
      return "a list";
    default:
      break;
  }
  std::size_t end = at_;
  while (end < text_.size() && end < at_ + 24 &&
         std::string_view(",]}\n").find(text_[end]) == std::string_view::npos) {
    ++end;
  }
  return io::quote(text_.substr(at_, end - at_));
}

bool JsonReader::open(char bracket, const char* what) {
  peek();
  demand(text_[at_] == bracket, "found ", found(), ", expected ", what);
  demand(frames_.size() < kMaxDepth, "nested deeper than ", kMaxDepth, " levels");
  ++at_;
  frames_.push_back({bracket == '{', 0, {}});
  blanks();
  if (at_ < text_.size() && text_[at_] == (bracket == '{' ? '}' : ']')) {
    ++at_;
    return false;
  }
  return true;
}

bool JsonReader::next(char bracket) {
  blanks();
  demand(at_ < text_.size(), "the file ends at byte ", text_.size(), " before this ",
         bracket == '}' ? "object" : "list", " is closed; it was cut, fetch it again");
  const char c = text_[at_];
  demand(c == ',' || c == bracket, "found '", c, "' at byte ", at_, ", expected ',' or '", bracket,
         "'; the file is not JSON here");
  ++at_;
  return c == ',';
}

void JsonReader::close() { frames_.pop_back(); }

std::string_view JsonReader::read_key() {
  frames_.back().key = {};
  blanks();
  demand(at_ < text_.size(), "the file ends at byte ", text_.size(),
         " inside an object; it was cut, fetch it again");
  demand(text_[at_] == '"', "found ", found(), " at byte ", at_, ", expected a quoted key");
  const std::string_view body = string_body();
  frames_.back().key = body;
  blanks();
  demand(at_ < text_.size(), "the file ends at byte ", text_.size(),
         " after a key; it was cut, fetch it again");
  demand(text_[at_] == ':', "found '", text_[at_], "' at byte ", at_, ", expected ':' after a key");
  ++at_;
  blanks();
  if (body.find('\\') == std::string_view::npos) return body;
  key_ = unescape(body);
  return key_;
}

std::string_view JsonReader::string_body() {
  const std::size_t begin = ++at_;
  while (at_ < text_.size() && text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
  demand(at_ < text_.size(), "the file ends inside a text that begins at byte ", begin - 1,
         "; it was cut, fetch it again");
  return text_.substr(begin, at_++ - begin);
}

std::string JsonReader::unescape(std::string_view body) const {
  std::string out;
  out.reserve(body.size());
  const auto hex4 = [&](std::size_t i) {
    std::uint32_t code = 0;
    const bool enough = i + 4 <= body.size();
    const auto end = enough ? body.data() + i + 4 : body.data();
    const auto result = std::from_chars(end - (enough ? 4 : 0), end, code, 16);
    demand(enough && result.ec == std::errc() && result.ptr == end, "bad \\u escape in a text");
    return code;
  };
  for (std::size_t i = 0; i < body.size(); ++i) {
    if (body[i] != '\\') {
      out += body[i];
      continue;
    }
    const char c = body[++i];
    static constexpr std::string_view kFrom = "\"\\/bfnrt", kTo = "\"\\/\b\f\n\r\t";
    if (const auto k = kFrom.find(c); k != std::string_view::npos) {
      out += kTo[k];
      continue;
    }
    demand(c == 'u', "unknown escape '\\", c, "' in a text");
    std::uint32_t code = hex4(i + 1);
    i += 4;
    if (code >= 0xD800 && code < 0xDC00 && body.substr(i + 1, 2) == "\\u") {
      const std::uint32_t low = hex4(i + 3);
      if (low >= 0xDC00 && low < 0xE000) {
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        i += 6;
      }
    }
    if (code >= 0xD800 && code < 0xE000) code = 0xFFFD;  // half of a pair
    append_utf8(out, code);
  }
  return out;
}

std::string JsonReader::string() {
  const Kind kind = peek();
  demand(kind == Kind::kString, "found ", found(), ", expected a text in quotes");
  const std::string_view body = string_body();
  if (body.find('\\') == std::string_view::npos) return std::string(body);
  return unescape(body);
}

std::string_view JsonReader::number_text() {
  const Kind kind = peek();
  demand(kind == Kind::kNumber, "found ", found(), ", expected a number");
  const std::string_view rest = text_.substr(at_, 9);
  for (const char* word : {"NaN", "Infinity", "-Infinity"}) {
    demand(!rest.starts_with(word), "found ", word, ", expected a finite number");
  }
  std::size_t end = at_;
  while (end < text_.size() &&
         std::string_view("+-.0123456789eE").find(text_[end]) != std::string_view::npos) {
    ++end;
  }
  const std::string_view text = text_.substr(at_, end - at_);
  demand(end < text_.size() || frames_.empty(), "the file ends at byte ", text_.size(),
         " inside a list or object; it was cut, fetch it again");
  at_ = end;
  return text;
}

double JsonReader::number() {
  const std::string_view text = number_text();
  double value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec == std::errc::result_out_of_range) {
    value = std::strtod(std::string(text).c_str(), nullptr);  // too small becomes 0
  }
  demand(result.ec != std::errc::invalid_argument && result.ptr == text.data() + text.size(),
         "found ", text.substr(0, kMostShown), ", expected a number");
  demand(std::isfinite(value), "found ", text.substr(0, kMostShown),
         ", which is too large for a number");
  return value;
}

float JsonReader::float_number() {
  const std::string_view text = number_text();
  float value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec == std::errc::result_out_of_range) {
    value = std::strtof(std::string(text).c_str(), nullptr);  // too small becomes 0
  }
  demand(result.ec != std::errc::invalid_argument && result.ptr == text.data() + text.size(),
         "found ", text.substr(0, kMostShown), ", expected a number");
  demand(std::isfinite(value), "found ", text.substr(0, kMostShown),
         ", which is too large for a number");
  return value;
}

std::int64_t JsonReader::integer() {
  const std::string_view text = number_text();
  std::int64_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  demand(result.ec == std::errc() && result.ptr == text.data() + text.size(), "found ", text,
         ", expected a whole number");
  return value;
}

bool JsonReader::flag() {
  const Kind kind = peek();
  if (kind == Kind::kNumber) {
    const std::int64_t value = integer();
    demand(value == 0 || value == 1, "found ", value, ", expected 0 or 1");
    return value == 1;
  }
  for (const std::string_view word : {"true", "false", "null"}) {
    if (text_.substr(at_, word.size()) != word) continue;
    at_ += word.size();
    return word == "true";
  }
  demand(false, "found ", found(), ", expected true or false");
  return false;
}

std::vector<double> JsonReader::numbers() {
  std::vector<double> out;
  array([&](std::size_t) { out.push_back(number()); });
  return out;
}

std::vector<std::int64_t> JsonReader::integers() {
  std::vector<std::int64_t> out;
  array([&](std::size_t) { out.push_back(integer()); });
  return out;
}

std::vector<std::string> JsonReader::strings() {
  std::vector<std::string> out;
  array([&](std::size_t) { out.push_back(string()); });
  return out;
}

void JsonReader::skip() {
  peek();
  std::string open;  // closing brackets still expected
  do {
    demand(at_ < text_.size(), "the file ends at byte ", text_.size(),
           " inside this value; it was cut, fetch it again");
    const char c = text_[at_];
    if (c == '"') {
      string_body();
    } else if (c == '{' || c == '[') {
      demand(open.size() < kMaxDepth, "nested deeper than ", kMaxDepth, " levels");
      open += c == '{' ? '}' : ']';
      ++at_;
    } else if (c == '}' || c == ']') {
      demand(open.back() == c, "found '", c, "' at byte ", at_, ", expected '", open.back(), "'");
      open.pop_back();
      ++at_;
    } else if (is_blank(c) || c == ',' || c == ':') {
      ++at_;
    } else {
      while (at_ < text_.size() &&
             std::string_view(",]} \n\r\t:").find(text_[at_]) == std::string_view::npos)
        ++at_;
    }
  } while (!open.empty());
}

std::string_view JsonReader::raw() {
  peek();
  const std::size_t begin = at_;
  skip();
  const std::string_view text = text_.substr(begin, at_ - begin);
  demand(nlohmann::json::accept(text), "the value is not JSON; NaN and Infinity are none either");
  return text;
}

void JsonReader::finish() {
  blanks();
  demand(at_ == text_.size(), "found more text after the end of the value, at byte ", at_);
}

std::string JsonReader::where() const {
  std::string path;
  for (const Frame& frame : frames_) {
    if (!frame.is_object) {
      path += '[';
      path += std::to_string(frame.index);
      path += ']';
    } else if (!frame.key.empty()) {
      if (!path.empty()) path += ".";
      path += frame.key.substr(0, kMostShown);
    }
  }
  return path;
}

}  // namespace groma::eval
