#include "eval/clean_caption.h"

namespace groma::eval {
namespace {

std::string stripped(const std::string& text, std::string_view of) {
  const std::size_t first = text.find_first_not_of(of);
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(of) - first + 1);
}

}  // namespace

std::string clean_caption(std::string_view answer) {
  std::string plain;
  for (std::size_t at = 0; at < answer.size(); ++at) {
    if (answer[at] == '\n') continue;
    if (answer[at] == '<') {
      const std::size_t end = answer.find('>', at);
      if (end != std::string_view::npos) {
        at = end;
        continue;
      }
    }
    plain += answer[at];
  }
  constexpr std::string_view kBlanks = " \t\r\v\f";
  std::string out;
  for (const char c : plain) {
    const bool blank = kBlanks.find(c) != std::string_view::npos;
    if (!blank) out += c;
    if (blank && !out.empty() && out.back() != ' ') out += ' ';
  }
  return stripped(stripped(stripped(out, " "), "'"), " ");
}

}  // namespace groma::eval
