#include "train/scene_batch.h"

#include <ATen/ATen.h>

#include <cmath>
#include <numbers>

#include "image/preprocess.h"
#include "regions/boxes.h"

namespace groma::train {
namespace {

double normal(Random& random) {
  const double u = 1 - random.uniform();  // (0, 1]
  return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * random.uniform());
}

at::Tensor normalised(const Scene& scene) {
  const PixelNorm norm;
  const auto pixels =
      at::from_blob(const_cast<uint8_t*>(scene.rgb.data()), {scene.size, scene.size, 3}, at::kByte)
          .permute({2, 0, 1})
          .to(at::kFloat);
  const auto column = [](const std::array<float, 3>& values) {
    return at::tensor(at::ArrayRef<float>(values.data(), 3)).view({3, 1, 1});
  };
  return (pixels / 255.0 - column(norm.mean)) / column(norm.std);
}

}  // namespace

void SceneBatch::move_to(at::Device device) {
  pixels = pixels.to(device);
  for (auto& image : truth) image.boxes_cxcywh = image.boxes_cxcywh.to(device);
}

uint64_t entry_seed(uint64_t seed, int64_t index) {
  Random mix(seed);
  Random apart(mix.next() + static_cast<uint64_t>(index));
  return apart.next() >> 2;  // the worlds double it
}

at::Tensor truth_boxes(const Scene& scene) {
  std::vector<Box> boxes;
  for (const auto& object : scene.objects) boxes.push_back(object.box);
  return to_network_boxes(boxes, scene.size, scene.size).view({-1, 4});
}

SceneBatch draw_batch(const WorldOptions& options, uint64_t seed, int64_t first, int64_t count) {
  SceneBatch batch;
  std::vector<at::Tensor> pixels;
  for (int64_t i = first; i < first + count; ++i) {
    batch.scenes.push_back(draw_scene(options, entry_seed(seed, i)));
    pixels.push_back(normalised(batch.scenes.back()));
    batch.truth.push_back({truth_boxes(batch.scenes.back())});
  }
  batch.pixels = at::stack(pixels);
  return batch;
}

at::Tensor jittered(const at::Tensor& boxes_cxcywh, double share, Random& random) {
  auto result = boxes_cxcywh.to(at::kCPU, at::kFloat, /*non_blocking=*/false, /*copy=*/true);
  auto box = result.accessor<float, 2>();
  for (int64_t i = 0; i < result.size(0); ++i) {
    for (int axis = 0; axis < 2; ++axis) {
      const double side = box[i][2 + axis];
      const double center = box[i][axis] + side * share * normal(random);
      const double stretched = side * std::exp(share * normal(random));
      const double low = std::clamp(center - stretched / 2, 0.0, 1.0);
      const double high = std::clamp(center + stretched / 2, 0.0, 1.0);
      box[i][axis] = static_cast<float>((low + high) / 2);
      box[i][2 + axis] = static_cast<float>(std::max(high - low, 1e-3));
    }
  }
  return result.to(boxes_cxcywh.device());
}

}  // namespace groma::train
