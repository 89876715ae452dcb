#include "train/worlds/words.h"

#include <cctype>

namespace groma::train {

std::string lower(std::string text) {
  for (auto& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

std::string plural(const std::string& words) {
  static constexpr std::array<std::array<std::string_view, 2>, 5> kIrregular{
      {{"fish", "fish"},
       {"sheep", "sheep"},
       {"mouse", "mice"},
       {"leaf", "leaves"},
       {"snowman", "snowmen"}}};
  for (const auto& [one, many] : kIrregular) {
    if (words.ends_with(one)) return words.substr(0, words.size() - one.size()).append(many);
  }
  for (const char* hiss : {"s", "x", "ch", "sh"}) {
    if (words.ends_with(hiss)) return words + "es";
  }
  const std::size_t length = words.size();
  const bool vowel_before =
      length > 1 && std::string_view("aeiou").find(words[length - 2]) != std::string_view::npos;
  if (words.ends_with("y") && !vowel_before) return words.substr(0, length - 1) + "ies";
  if (words.ends_with("tomato") || words.ends_with("potato")) return words + "es";
  return words + "s";
}

std::string article(const std::string& words) {
  if (words.starts_with("unicorn")) return "a";
  return std::string_view("aeiou").find(words.front()) != std::string_view::npos ? "an" : "a";
}

std::string with_article(const std::string& words) { return article(words) + " " + words; }

}  // namespace groma::train
