#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "groma/error.h"
#include "train/worlds/pictograms.h"
#include "train/worlds/questions.h"
#include "train/worlds/scene.h"

namespace groma::train::testing {

/// Worlds that can be drawn on this machine: without the font no things.
inline std::vector<World> drawable_worlds() {
  try {
    emoji_font("");
    return {World::kShapes, World::kThings};
  } catch (const Error&) {
    return {World::kShapes};
  }
}

inline Scene scene_of(World world, std::uint64_t seed, bool test = true) {
  WorldOptions options;
  options.world = world;
  options.test = test;
  return draw_scene(options, seed);
}

/// Reads referring expressions word by word and looks up what they mean, from the boxes and pixels
/// alone: an implementation apart from the one that wrote them, and without its margins.
class Reader {
 public:
  explicit Reader(const Scene& scene) : scene_(scene) {}

  /// The one object meant; nothing when none or several are.
  std::optional<int> target(const std::string& expression) const {
    std::vector<std::string> words = split(expression);
    EXPECT_EQ(words.front(), "the") << expression;
    words.erase(words.begin());
    for (const auto& [phrase, relation] : kRelations) {
      const std::vector<std::string> parts = split(phrase);
      const auto at = std::search(words.begin(), words.end(), parts.begin(), parts.end());
      if (at == words.end()) continue;
      const std::string anchor_text = join({at + static_cast<int>(parts.size()), words.end()});
      const std::optional<int> anchor = target(anchor_text);
      if (!anchor) return {};
      return related({words.begin(), at}, *anchor, relation);
    }
    if (words.size() > 3 && words[words.size() - 3] == "from") return placed(words);
    const auto superlative =
        std::find_if(kExtremes.begin(), kExtremes.end(),
                     [&](const auto& known) { return known.first == words.front(); });
    if (superlative != kExtremes.end()) {
      return most({words.begin() + 1, words.end()}, superlative->second);
    }
    return only(fitting(words));
  }

  /// Objects that all of the words describe.
  std::vector<int> fitting(const std::vector<std::string>& words) const {
    std::vector<int> found;
    for (int i = 0; i < static_cast<int>(scene_.objects.size()); ++i) {
      const SceneObject& object = scene_.objects[i];
      const bool all = std::all_of(words.begin(), words.end(), [&](const std::string& word) {
        return word == object.kind || word == object.color || word == object.texture ||
               word == object.size || word == "shape" || word == "thing";
      });
      if (all) found.push_back(i);
    }
    return found;
  }
  std::vector<int> fitting(const std::string& words) const { return fitting(split(words)); }

  static std::vector<std::string> split(const std::string& text) {
    std::istringstream stream(text);
    std::vector<std::string> words;
    for (std::string word; stream >> word;) words.push_back(word);
    return words;
  }

  /// Whether one object's centre is to the left of (right of, above, below) the other one's.
  bool beside(int object, int anchor, const std::string& side) const {
    const float dx = x(object) - x(anchor);
    const float dy = y(object) - y(anchor);
    if (side == "left") return dx < 0;
    if (side == "right") return dx > 0;
    return side == "above" ? dy < 0 : dy > 0;
  }

 private:
  static constexpr std::array<std::pair<const char*, const char*>, 7> kRelations{
      {{"to the left of", "left"},
       {"to the right of", "right"},
       {"above", "above"},
       {"below", "below"},
       {"nearest to", "nearest"},
       {"closest to", "nearest"},
       {"touching", "touching"}}};
  static constexpr std::array<std::pair<const char*, const char*>, 10> kExtremes{
      {{"largest", "large"},
       {"biggest", "large"},
       {"smallest", "small"},
       {"leftmost", "left"},
       {"rightmost", "right"},
       {"topmost", "top"},
       {"highest", "top"},
       {"bottommost", "bottom"},
       {"lowest", "bottom"},
       {"", ""}}};

  static std::string join(const std::vector<std::string>& words) {
    std::string text;
    for (const auto& word : words) text += (text.empty() ? "" : " ") + word;
    return text;
  }

  float x(int i) const { return (scene_.objects[i].box.x1 + scene_.objects[i].box.x2) / 2; }
  float y(int i) const { return (scene_.objects[i].box.y1 + scene_.objects[i].box.y2) / 2; }
  float side(int i) const {
    const Box& box = scene_.objects[i].full_box;
    return std::max(box.x2 - box.x1, box.y2 - box.y1);
  }

  static std::optional<int> only(const std::vector<int>& found) {
    return found.size() == 1 ? std::optional<int>(found[0]) : std::nullopt;
  }

  /// What comes first on that side, or is most so.
  float rank(int i, const std::string& what) const {
    if (what == "large") return -side(i);
    if (what == "small") return side(i);
    if (what == "left") return x(i);
    if (what == "right") return -x(i);
    return what == "top" ? y(i) : -y(i);
  }

  std::optional<int> most(const std::vector<std::string>& words, const std::string& what) const {
    const std::vector<int> found = fitting(words);
    if (found.empty()) return {};
    return *std::min_element(found.begin(), found.end(),
                             [&](int a, int b) { return rank(a, what) < rank(b, what); });
  }

  std::optional<int> placed(const std::vector<std::string>& words) const {
    constexpr std::array<const char*, 4> kPlaces{"first", "second", "third", "fourth"};
    const auto place = std::find(kPlaces.begin(), kPlaces.end(), words.front());
    std::vector<int> found = fitting(std::vector<std::string>(words.begin() + 1, words.end() - 3));
    const std::string from = words.back();
    std::sort(found.begin(), found.end(),
              [&](int a, int b) { return rank(a, from) < rank(b, from); });
    const auto index = static_cast<std::size_t>(place - kPlaces.begin());
    if (index >= found.size()) return {};
    return found[index];
  }

  bool touches(int a, int b) const {
    const int n = scene_.size;
    for (int row = 0; row < n; ++row) {
      for (int col = 0; col < n; ++col) {
        if (scene_.owner[row * n + col] != a + 1) continue;
        for (int v = std::max(0, row - 1); v <= std::min(n - 1, row + 1); ++v) {
          for (int u = std::max(0, col - 1); u <= std::min(n - 1, col + 1); ++u) {
            if (scene_.owner[v * n + u] == b + 1) return true;
          }
        }
      }
    }
    return false;
  }

  std::optional<int> related(const std::vector<std::string>& words, int anchor,
                             const std::string& relation) const {
    std::vector<int> found = fitting(words);
    found.erase(std::remove(found.begin(), found.end(), anchor), found.end());
    if (relation == "nearest") {
      if (found.empty()) return {};
      const auto distance = [&](int i) { return std::hypot(x(i) - x(anchor), y(i) - y(anchor)); };
      return *std::min_element(found.begin(), found.end(),
                               [&](int a, int b) { return distance(a) < distance(b); });
    }
    std::vector<int> holding;
    for (const int i : found) {
      const bool holds = relation == "touching" ? touches(i, anchor) : beside(i, anchor, relation);
      if (holds) holding.push_back(i);
    }
    return only(holding);
  }

  const Scene& scene_;
};

/// The same scene with every box moved and stretched a little: what is certain must not change.
inline Scene jittered_scene(const Scene& scene, std::uint64_t seed) {
  Random random(seed);
  Scene result = scene;
  const double reach = 0.012 * scene.size;
  for (auto& object : result.objects) {
    const auto dx = static_cast<float>(random.uniform(-reach, reach));
    const auto dy = static_cast<float>(random.uniform(-reach, reach));
    for (Box* box : {&object.box, &object.full_box}) {
      *box = {box->x1 + dx, box->y1 + dy, box->x2 + dx, box->y2 + dy};
    }
    const auto grow = static_cast<float>(random.uniform(-1, 1));
    object.full_box.x2 += grow;
    object.full_box.y2 += grow;
  }
  return result;
}

}  // namespace groma::train::testing
