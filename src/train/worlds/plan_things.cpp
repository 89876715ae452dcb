#include <algorithm>

#include "train/worlds/plans.h"
#include "train/worlds/things.h"

namespace groma::train {
namespace {

constexpr float kThingContrast = 48;  // of 441, black to white

std::string random_color(const Thing& thing, const std::vector<std::string>& palette,
                         Random& random) {
  return thing.paintable ? random.pick(palette) : std::string();
}

}  // namespace

Plan plan_things(const WorldOptions& options, Random& random) {
  const std::vector<Thing>& things = things_of(options.font);
  const int count = random.between(options.min_objects, options.max_objects);
  std::vector<const Thing*> repeated;
  for (int i = random.between(1, count > 8 ? 3 : 2); i > 0; --i) {
    const Thing* thing = &random.pick(things);
    // What differs in colour only gives more to tell: take such kinds more often.
    for (int k = 0; k < 2 && !thing->paintable; ++k) thing = &random.pick(things);
    repeated.push_back(thing);
  }
  std::vector<std::string> palette(kColors.begin(), kColors.end());
  random.shuffle(palette);
  palette.resize(random.between(2, 5));

  Plan plan;
  plan.count = count;
  while (static_cast<int>(plan.objects.size()) < count + kSpares) {
    const Thing* thing = random.chance(0.72) ? random.pick(repeated) : &random.pick(things);
    PlannedObject object;
    object.words.kind = thing->kind;
    object.words.color = random_color(*thing, palette, random);
    object.words.size = random_size(options, count > 8, random);
    object.color = mean_color(*thing, object.words.color);
    object.least_contrast = kThingContrast;
    object.draw = [thing, color = object.words.color](float side, Random& stream) {
      return thing_sprite(*thing, color, side, stream);
    };
    plan.objects.push_back(std::move(object));
  }
  return plan;
}

}  // namespace groma::train
