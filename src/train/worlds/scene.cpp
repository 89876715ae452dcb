#include "train/worlds/scene.h"

#include "check.h"
#include "train/worlds/background.h"
#include "train/worlds/plans.h"

namespace groma::train {
namespace {

/// Apart streams for apart purposes: drawing one thing more never moves another one.
enum class Stream : std::uint64_t { kWorld = 1, kBackground, kObjects };

Random stream(std::uint64_t seed, bool test, Stream purpose) {
  Random mix(seed * 2 + (test ? 1 : 0));
  Random apart(mix.next() + static_cast<std::uint64_t>(purpose));
  return Random(apart.next());
}

void check(const WorldOptions& options) {
  require(options.size >= 64 && options.size <= 1024, "draw a scene: picture of ", options.size,
          " pixels a side; take 64..1024");
  require(options.min_objects >= 1 && options.min_objects <= options.max_objects &&
              options.max_objects <= 12,
          "draw a scene: ", options.min_objects, "..", options.max_objects,
          " objects; take a range within 1..12");
  for (const double share : {options.small_share, options.hidden_share}) {
    require(share >= 0 && share <= 1, "draw a scene: a share of ", share, "; take 0..1");
  }
}

/// Two shapes of one colour that touch look like one shape.
bool same_color(const SceneObject& a, const SceneObject& b) { return a.color == b.color; }

/// Two pictograms of one kind or colour that touch look like one heap.
bool same_kind_or_color(const SceneObject& a, const SceneObject& b) {
  return a.kind == b.kind || (!a.color.empty() && a.color == b.color);
}

}  // namespace

cv::Mat scene_background(World world, int size, std::uint64_t seed, bool test) {
  Random random = stream(seed, test, Stream::kBackground);
  return world == World::kShapes ? shapes_background(size, random)
                                 : things_background(size, random);
}

Scene draw_scene(const WorldOptions& options, std::uint64_t seed) {
  check(options);
  World world = options.world;
  if (world == World::kBoth) {
    const bool shapes = stream(seed, options.test, Stream::kWorld).chance(0.5);
    world = shapes ? World::kShapes : World::kThings;
  }
  const cv::Mat background = scene_background(world, options.size, seed, options.test);
  Random random = stream(seed, options.test, Stream::kObjects);
  Scene scene;
  if (world == World::kShapes) {
    const auto plan = plan_shapes(options, background, random);
    scene = place_objects(options, background, plan, same_color, random);
  } else {
    const auto plan = plan_things(options, random);
    scene = place_objects(options, background, plan, same_kind_or_color, random);
  }
  scene.world = world;
  scene.seed = seed;
  return scene;
}

std::vector<std::uint8_t> visible_mask(const Scene& scene, int object) {
  std::vector<std::uint8_t> mask(scene.owner.size());
  for (std::size_t i = 0; i < mask.size(); ++i) mask[i] = scene.owner[i] == object + 1 ? 1 : 0;
  return mask;
}

}  // namespace groma::train
