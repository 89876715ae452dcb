#include "image/palette.h"

#include <map>

namespace groma {

std::vector<Rgb> phrase_colors(const std::vector<Phrase>& phrases) {
  std::vector<Rgb> colors(phrases.size(), kPalette[0]);
  std::map<std::string, Rgb> color_of;
  std::size_t next = 0;
  for (std::size_t i = 0; i < phrases.size(); ++i) {
    if (phrases[i].regions.empty()) continue;
    const auto known = color_of.find(phrases[i].text);
    if (!phrases[i].text.empty() && known != color_of.end()) {
      colors[i] = known->second;
      continue;
    }
    colors[i] = color_of[phrases[i].text] = kPalette[next++ % kPalette.size()];
  }
  return colors;
}

std::string region_label(const Phrase& phrase, const NamedRegion& named) {
  return phrase.text.empty() ? std::to_string(named.region) : phrase.text;
}

}  // namespace groma
