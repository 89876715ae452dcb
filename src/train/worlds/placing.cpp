#include "train/worlds/placing.h"

#include <algorithm>
#include <cmath>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <optional>

namespace groma::train {
namespace {

constexpr int kTries = 40;
constexpr float kClearlyHidden = 0.06f;  // share that an overlap wanted must hide at least
constexpr float kLeastExtent = 0.82f;    // of the longest side, so that the size word stays true

/// The share of an object that must stay visible for it to be identified.
float least_visible(const std::string& size) {
  if (size == "small") return 0.76f;
  return size == "medium" ? 0.68f : 0.62f;
}

class Placer {
 public:
  using Clash = std::function<bool(const SceneObject&, const SceneObject&)>;

  Placer(const cv::Mat& background, const Clash& clash, Random& random)
      : canvas_(background.clone()), clash_(clash), random_(random) {
    cv::resize(background, coarse_, {kCoarse, kCoarse}, 0, 0, cv::INTER_AREA);
  }

  bool place(const PlannedObject& object, float side, bool hide_one) {
    const Sprite sprite = object.draw(side, random_);
    const std::optional<cv::Point> at = find_place(object, sprite, hide_one);
    if (!at) return false;
    canvas_.paint(sprite, *at);
    words_.push_back(object.words);
    return true;
  }

  int objects() const { return canvas_.objects(); }

  /// Whether fewer objects than that share of those placed are partly hidden.
  bool too_few_hidden(double share) const;

  Scene finish() const;

 private:
  static constexpr int kCoarse = 16;

  std::optional<cv::Point> find_place(const PlannedObject& object, const Sprite& sprite,
                                      bool hide_one);
  cv::Point anywhere(const Sprite& sprite);
  cv::Point across(int victim, const Sprite& sprite);
  bool stands_out(const PlannedObject& object, const cv::Rect& box) const;
  bool leaves_others_clear(const PlannedObject& object, const Sprite& sprite, cv::Point at,
                           const Canvas::Effect& effect) const;

  Canvas canvas_;
  cv::Mat coarse_;  ///< the backdrop in kCoarse x kCoarse cells
  const Clash& clash_;
  Random& random_;
  std::vector<SceneObject> words_;
};

cv::Point Placer::anywhere(const Sprite& sprite) {
  const cv::Size room = canvas_.rgb().size() - sprite.coverage.size();
  return {random_.between(0, room.width), random_.between(0, room.height)};
}

/// A place at which the sprite reaches over the victim's border.
cv::Point Placer::across(int victim, const Sprite& sprite) {
  const cv::Rect& box = canvas_.full_rect(victim);
  const double angle = random_.uniform(0, 2 * CV_PI);
  const double reach = random_.uniform(0.3, 1.0) / 2;
  const double x = box.x + box.width / 2.0 - sprite.coverage.cols / 2.0 +
                   std::cos(angle) * reach * (box.width + sprite.coverage.cols);
  const double y = box.y + box.height / 2.0 - sprite.coverage.rows / 2.0 +
                   std::sin(angle) * reach * (box.height + sprite.coverage.rows);
  return {static_cast<int>(x), static_cast<int>(y)};
}

bool Placer::stands_out(const PlannedObject& object, const cv::Rect& box) const {
  const cv::Size size = canvas_.rgb().size();
  const int left = box.x * kCoarse / size.width;
  const int top = box.y * kCoarse / size.height;
  const int right = (box.br().x - 1) * kCoarse / size.width;
  const int bottom = (box.br().y - 1) * kCoarse / size.height;
  Color sum(0, 0, 0);
  for (int y = top; y <= bottom; ++y) {
    for (int x = left; x <= right; ++x) sum += Color(coarse_.at<cv::Vec3b>(y, x));
  }
  const auto cells = static_cast<float>((right - left + 1) * (bottom - top + 1));
  return cv::norm(sum * (1 / cells) - object.color) >= object.least_contrast;
}

bool Placer::leaves_others_clear(const PlannedObject& object, const Sprite& sprite, cv::Point at,
                                 const Canvas::Effect& effect) const {
  for (const int other : effect.near) {
    if (clash_(object.words, words_[other])) return false;
    const auto full = static_cast<float>(canvas_.full_pixels(other));
    const auto left = static_cast<float>(canvas_.visible_pixels(other) - effect.hides[other]);
    if (left < least_visible(words_[other].size) * full) return false;
  }
  for (const int other : effect.near) {
    if (effect.hides[other] == 0) continue;
    const cv::Rect& full = canvas_.full_rect(other);
    const cv::Rect visible = canvas_.visible_rect(other, &sprite, at);
    const auto longest = static_cast<float>(std::max(visible.width, visible.height));
    if (longest < kLeastExtent * static_cast<float>(std::max(full.width, full.height))) {
      return false;
    }
  }
  return true;
}

std::optional<cv::Point> Placer::find_place(const PlannedObject& object, const Sprite& sprite,
                                            bool hide_one) {
  const cv::Rect picture({0, 0}, canvas_.rgb().size());
  if (sprite.coverage.cols > picture.width || sprite.coverage.rows > picture.height) return {};
  std::vector<int> victims;
  for (int i = 0; i < canvas_.objects(); ++i) {
    const bool whole =
        canvas_.visible_pixels(i) > kPartlyHidden * static_cast<float>(canvas_.full_pixels(i));
    if (whole && !clash_(object.words, words_[i])) victims.push_back(i);
  }
  std::optional<cv::Point> spare;  // touches others although it need not
  for (int i = 0; i < kTries; ++i) {
    const bool hide = hide_one && !victims.empty() && i < kTries * 2 / 3;
    const int victim = hide ? random_.pick(victims) : -1;
    const cv::Point at = hide ? across(victim, sprite) : anywhere(sprite);
    const cv::Rect box(at, sprite.coverage.size());
    if ((box & picture) != box || !stands_out(object, box)) continue;
    const Canvas::Effect effect = canvas_.effect_of(sprite, at);
    if (!hide && effect.separate) return at;
    if (hide &&
        effect.hides[victim] < kClearlyHidden * static_cast<float>(canvas_.full_pixels(victim))) {
      continue;
    }
    if (!leaves_others_clear(object, sprite, at, effect)) continue;
    if (hide) return at;
    if (!spare) spare = at;
  }
  return spare;
}

Box to_box(const cv::Rect& rect) {
  return {static_cast<float>(rect.x), static_cast<float>(rect.y),
          static_cast<float>(rect.x + rect.width), static_cast<float>(rect.y + rect.height)};
}

bool Placer::too_few_hidden(double share) const {
  int hidden = 0;
  for (int i = 0; i < canvas_.objects(); ++i) {
    if (canvas_.visible_pixels(i) < kPartlyHidden * static_cast<float>(canvas_.full_pixels(i))) {
      ++hidden;
    }
  }
  return hidden < share * canvas_.objects();
}

Scene Placer::finish() const {
  Scene scene;
  scene.size = canvas_.rgb().cols;
  scene.rgb.assign(canvas_.rgb().datastart, canvas_.rgb().dataend);
  scene.owner.assign(canvas_.owner().datastart, canvas_.owner().dataend);
  scene.objects = words_;
  for (int i = 0; i < canvas_.objects(); ++i) {
    SceneObject& object = scene.objects[i];
    object.box = to_box(canvas_.visible_rect(i));
    object.full_box = to_box(canvas_.full_rect(i));
    object.visible =
        static_cast<float>(canvas_.visible_pixels(i)) / static_cast<float>(canvas_.full_pixels(i));
  }
  return scene;
}

}  // namespace

float random_side(const std::string& size, int picture, Random& random) {
  double side = random.uniform(68, 104);
  if (size == "small") side = random.uniform(18, 24.4);
  if (size == "medium") side = random.uniform(34, 52);
  return static_cast<float>(side * picture / 224);
}

std::string random_size(const WorldOptions& options, bool crowded, Random& random) {
  if (random.chance(options.small_share)) return "small";
  return random.chance(crowded ? 0.25 : 0.4) ? "large" : "medium";
}

Scene place_objects(const WorldOptions& options, const cv::Mat& background, const Plan& plan,
                    const std::function<bool(const SceneObject&, const SceneObject&)>& clash,
                    Random& random) {
  Placer placer(background, clash, random);
  for (PlannedObject object : plan.objects) {
    if (placer.objects() == plan.count) break;
    // Not every overlap that is tried is found, hence more tries than hidden objects wanted.
    const double eagerness = placer.too_few_hidden(options.hidden_share) ? 2.2 : 0.9;
    const bool hide_one = random.chance(std::min(1.0, eagerness * options.hidden_share));
    if (placer.place(object, random_side(object.words.size, options.size, random), hide_one)) {
      continue;
    }
    object.words.size = "small";
    placer.place(object, random_side("small", options.size, random), hide_one);
  }
  return placer.finish();
}

}  // namespace groma::train
