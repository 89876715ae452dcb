#include <algorithm>
#include <opencv2/core.hpp>

#include "train/worlds/plans.h"
#include "train/worlds/shapes.h"
#include "train/worlds/words.h"

namespace groma::train {
namespace {

constexpr float kShapeContrast = 80;  // of 441, black to white

std::string random_texture(Random& random) {
  const double x = random.uniform();
  if (x < 0.46) return "solid";
  return x < 0.72 ? "striped" : "outlined";
}

bool same_words(const SceneObject& a, const SceneObject& b) {
  return a.kind == b.kind && a.color == b.color && a.texture == b.texture && a.size == b.size;
}

/// Colours that are told from the backdrop, a few of them, in random order.
std::vector<std::string> random_palette(const Color& backdrop, Random& random) {
  std::vector<std::string> palette;
  for (const auto word : kColors) {
    if (cv::norm(named_color(std::string(word)) - backdrop) > kShapeContrast) {
      palette.emplace_back(word);
    }
  }
  random.shuffle(palette);
  palette.resize(std::min<std::size_t>(palette.size(), random.between(2, 6)));
  return palette;
}

/// Nearly white or nearly black, whichever is told from the backdrop; mostly white if both are.
Color stripe_gaps(const Color& backdrop, Random& random) {
  const float lightness = (backdrop[0] + backdrop[1] + backdrop[2]) / 3;
  const bool white = lightness < 90 || (lightness < 170 && random.chance(0.75));
  return Color::all(static_cast<float>(white ? random.uniform(228, 252) : random.uniform(22, 50)));
}

}  // namespace

Plan plan_shapes(const WorldOptions& options, const cv::Mat& background, Random& random) {
  const int count = random.between(options.min_objects, options.max_objects);
  const cv::Scalar mean = cv::mean(background);
  const Color backdrop(static_cast<float>(mean[0]), static_cast<float>(mean[1]),
                       static_cast<float>(mean[2]));
  const std::vector<std::string> palette = random_palette(backdrop, random);
  std::vector<std::string> kinds;
  for (int i = random.between(1, count > 8 ? 3 : 2); i > 0; --i) {
    kinds.emplace_back(random.pick(kShapeKinds));
  }
  // The inside of outlined shapes: the backdrop's colour, lighter or darker.
  const float light = random.chance(0.5) ? 255.0f : 20.0f;
  const Color inside =
      backdrop + (Color::all(light) - backdrop) * static_cast<float>(random.uniform(0.15, 0.6));

  Plan plan;
  plan.count = count;
  while (static_cast<int>(plan.objects.size()) < count + kSpares) {
    PlannedObject object;
    SceneObject& words = object.words;
    for (int attempt = 0; attempt < 3; ++attempt) {
      words.kind = random.chance(0.72) ? random.pick(kinds) : random.pick(kShapeKinds);
      words.color = random.pick(palette);
      words.texture = random_texture(random);
      words.size = random_size(options, count > 8, random);
      // Two of the same look are allowed, yet rare: nothing but relations tells them apart.
      const bool twin =
          std::any_of(plan.objects.begin(), plan.objects.end(),
                      [&](const PlannedObject& other) { return same_words(other.words, words); });
      if (!twin || random.chance(0.2)) break;
    }
    object.color = named_color(words.color);
    object.least_contrast = kShapeContrast;
    const Color paper = words.texture == "striped" ? stripe_gaps(backdrop, random) : inside;
    object.draw = [words, paper](float side, Random& stream) {
      return shape_sprite({words.kind, words.color, words.texture, side}, paper, stream);
    };
    plan.objects.push_back(std::move(object));
  }
  return plan;
}

}  // namespace groma::train
