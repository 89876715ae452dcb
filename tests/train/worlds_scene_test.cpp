#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <set>
#include <thread>
#include <vector>

#include "train/worlds/plans.h"
#include "train/worlds/scene.h"
#include "train/worlds/shapes.h"
#include "train/worlds/words.h"
#include "worlds_support.h"

namespace groma::train {
namespace {

using testing::drawable_worlds;
using testing::scene_of;

constexpr int kScenes = 60;

void expect_same(const Scene& a, const Scene& b) {
  EXPECT_EQ(a.rgb, b.rgb);
  EXPECT_EQ(a.owner, b.owner);
  ASSERT_EQ(a.objects.size(), b.objects.size());
  for (std::size_t i = 0; i < a.objects.size(); ++i) {
    EXPECT_EQ(a.objects[i].kind, b.objects[i].kind);
    EXPECT_EQ(a.objects[i].color, b.objects[i].color);
    EXPECT_TRUE(a.objects[i].box == b.objects[i].box);
    EXPECT_EQ(a.objects[i].visible, b.objects[i].visible);
  }
}

float longest(const Box& box) { return std::max(box.x2 - box.x1, box.y2 - box.y1); }

/// Pixels of an object whose eight neighbours are its own too.
std::vector<Color> inner_pixels(const Scene& scene, int object) {
  std::vector<Color> pixels;
  const int n = scene.size;
  for (int y = 1; y + 1 < n; ++y) {
    for (int x = 1; x + 1 < n; ++x) {
      bool inside = true;
      for (int v = y - 1; v <= y + 1; ++v) {
        for (int u = x - 1; u <= x + 1; ++u) inside &= scene.owner[v * n + u] == object + 1;
      }
      if (!inside) continue;
      const auto* rgb = &scene.rgb[3 * (y * n + x)];
      pixels.emplace_back(rgb[0], rgb[1], rgb[2]);
    }
  }
  return pixels;
}

std::string nearest_color_word(const Color& color) {
  return std::string(*std::min_element(kColors.begin(), kColors.end(), [&](auto a, auto b) {
    return cv::norm(named_color(std::string(a)) - color) <
           cv::norm(named_color(std::string(b)) - color);
  }));
}

TEST(WorldsScene, SameSeedGivesSameSceneInEveryThread) {
  for (const World world : drawable_worlds()) {
    std::vector<Scene> scenes(8);
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&scenes, world, i] { scenes[i] = scene_of(world, 40 + i / 4); });
    }
    threads.clear();
    for (int i = 0; i < 8; ++i) expect_same(scenes[i], scene_of(world, 40 + i / 4));
    EXPECT_NE(scenes[0].rgb, scenes[4].rgb);
  }
}

TEST(WorldsScene, TestAndTrainingScenesDiffer) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Scene trained = scene_of(World::kShapes, seed, false);
    for (std::uint64_t other = 0; other < 20; ++other) {
      EXPECT_NE(trained.rgb, scene_of(World::kShapes, other, true).rgb);
    }
  }
}

TEST(WorldsScene, BothDrawsEachWorld) {
  if (drawable_worlds().size() < 2) GTEST_SKIP() << "no font of fonts-noto-color-emoji";
  WorldOptions options;
  options.world = World::kBoth;
  int shapes = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    if (draw_scene(options, seed).world == World::kShapes) ++shapes;
  }
  EXPECT_GT(shapes, 8);
  EXPECT_LT(shapes, 32);
}

TEST(WorldsScene, BoxesAndSharesAreThoseOfThePixels) {
  for (const World world : drawable_worlds()) {
    for (std::uint64_t seed = 0; seed < kScenes; ++seed) {
      const Scene scene = scene_of(world, seed);
      ASSERT_GE(scene.objects.size(), 2u);
      ASSERT_LE(scene.objects.size(), 12u);
      for (int i = 0; i < static_cast<int>(scene.objects.size()); ++i) {
        const SceneObject& object = scene.objects[i];
        const std::vector<std::uint8_t> mask = visible_mask(scene, i);
        cv::Mat pixels(scene.size, scene.size, CV_8U, const_cast<std::uint8_t*>(mask.data()));
        const cv::Rect around = cv::boundingRect(pixels);
        const Box expected{static_cast<float>(around.x), static_cast<float>(around.y),
                           static_cast<float>(around.br().x), static_cast<float>(around.br().y)};
        EXPECT_TRUE(object.box == expected) << "seed " << seed << " object " << i;
        EXPECT_LE(object.full_box.x1, object.box.x1);
        EXPECT_GE(object.full_box.y2, object.box.y2);
        EXPECT_GE(object.visible, 0.62f);
        EXPECT_LE(object.visible, 1.0f);
        EXPECT_GE(longest(object.box), 0.8f * longest(object.full_box));
      }
      // Nothing is above the last object.
      EXPECT_EQ(scene.objects.back().visible, 1);
      EXPECT_TRUE(scene.objects.back().box == scene.objects.back().full_box);
    }
  }
}

TEST(WorldsScene, SizeWordsHoldForEveryPictureSize) {
  for (const int size : {112, 224, 448}) {
    WorldOptions options;
    options.size = size;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      for (const auto& object : draw_scene(options, seed).objects) {
        const float side = longest(object.full_box) * 224 / static_cast<float>(size);
        const float pixel = 224 / static_cast<float>(size);
        const float low = object.size == "small" ? 18 : object.size == "medium" ? 34 : 68;
        const float high = object.size == "small" ? 24.4f : object.size == "medium" ? 52 : 104;
        EXPECT_GE(side, low - 3 * pixel) << object.size;  // thin tips count for nothing
        EXPECT_LE(side, high + pixel) << object.size;
      }
    }
  }
}

TEST(WorldsScene, PixelsOfNobodyShowTheBackdrop) {
  for (const World world : drawable_worlds()) {
    for (std::uint64_t seed = 0; seed < kScenes; ++seed) {
      const Scene scene = scene_of(world, seed);
      const cv::Mat backdrop = scene_background(world, scene.size, seed, true);
      cv::Mat owner(scene.size, scene.size, CV_8U, const_cast<std::uint8_t*>(scene.owner.data()));
      cv::Mat reach;  // anti-aliasing may colour the pixel beside an object's last one
      cv::dilate(owner, reach, cv::Mat::ones(3, 3, CV_8U));
      int wrong = 0;
      int hidden = 0;
      for (int y = 0; y < scene.size; ++y) {
        for (int x = 0; x < scene.size; ++x) {
          const auto& at = backdrop.at<cv::Vec3b>(y, x);
          const auto* rgb = &scene.rgb[3 * (y * scene.size + x)];
          const bool same = at[0] == rgb[0] && at[1] == rgb[1] && at[2] == rgb[2];
          if (reach.at<uchar>(y, x) == 0 && !same) ++wrong;
          // The inside of an outlined shape may be like the backdrop, all else must not.
          const int object = owner.at<uchar>(y, x) - 1;
          if (object >= 0 && scene.objects[object].texture != "outlined" && same) ++hidden;
        }
      }
      EXPECT_EQ(wrong, 0) << "seed " << seed;
      EXPECT_LT(hidden, 5) << "seed " << seed;  // by chance
    }
  }
}

TEST(WorldsScene, ShapesHaveTheColourThatTheirWordSays) {
  int checked = 0;
  for (std::uint64_t seed = 0; seed < kScenes; ++seed) {
    const Scene scene = scene_of(World::kShapes, seed);
    for (int i = 0; i < static_cast<int>(scene.objects.size()); ++i) {
      const SceneObject& object = scene.objects[i];
      const std::vector<Color> pixels = inner_pixels(scene, i);
      if (pixels.size() < 12) continue;  // nothing left inside a small outlined shape
      // Solid shapes have one colour; others have it at many pixels, beside paper.
      const auto of_word = std::count_if(pixels.begin(), pixels.end(), [&](const Color& pixel) {
        return nearest_color_word(pixel) == object.color &&
               cv::norm(pixel - named_color(object.color)) < 60;
      });
      const double share = static_cast<double>(of_word) / static_cast<double>(pixels.size());
      EXPECT_GE(share, object.texture == "solid" ? 0.99 : 0.08) << "seed " << seed << " " << i;
      EXPECT_LE(share, object.texture == "solid" ? 1 : 0.85) << "seed " << seed << " " << i;
      ++checked;
    }
  }
  EXPECT_GT(checked, 300);
}

TEST(WorldsScene, EveryWordComesUp) {
  for (const World world : drawable_worlds()) {
    std::set<std::string> seen;
    for (std::uint64_t seed = 0; seed < 500; ++seed) {
      for (const auto& object : scene_of(world, seed).objects) {
        seen.insert({object.kind, object.color, object.texture, object.size});
      }
    }
    for (const auto& group : attribute_words(world)) {
      for (const auto& word : group) EXPECT_TRUE(seen.contains(word)) << word;
    }
  }
}

TEST(WorldsScene, SharesFollowTheOptions) {
  WorldOptions options;
  options.small_share = 0;
  options.hidden_share = 0;
  options.min_objects = options.max_objects = 4;
  int hidden = 0;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const Scene scene = draw_scene(options, seed);
    EXPECT_EQ(scene.objects.size(), 4u);
    for (const auto& object : scene.objects) {
      if (object.visible < kPartlyHidden) ++hidden;
    }
  }
  EXPECT_LT(hidden, 10);
}

TEST(WorldsScene, WrongOptionsAreNamed) {
  const auto message = [](auto change) {
    WorldOptions options;
    change(options);
    try {
      draw_scene(options, 0);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(message([](auto& o) { o.size = 32; }),
            "draw a scene: picture of 32 pixels a side; take 64..1024");
  EXPECT_EQ(message([](auto& o) { o.max_objects = 13; }),
            "draw a scene: 2..13 objects; take a range within 1..12");
  EXPECT_EQ(message([](auto& o) { o.small_share = 2; }), "draw a scene: a share of 2; take 0..1");
  EXPECT_NE(message([](auto& o) {
              o.world = World::kThings;
              o.font = "/nowhere/font.ttf";
            }).find("install the package fonts-noto-color-emoji"),
            std::string::npos);
}

}  // namespace
}  // namespace groma::train
