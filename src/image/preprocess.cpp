#include "image/preprocess.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "check.h"
#include "image/resample.h"
#include "io/file.h"
#include "io/json.h"

namespace groma {
namespace {

using nlohmann::json;

constexpr double kRescale = 1.0 / 255;

/// preprocessor_config.json with its path, for messages.
struct Settings {
  json values;
  std::string path;

  const json* find(const char* key) const {
    const auto found = values.find(key);
    return found == values.end() || found->is_null() ? nullptr : &*found;
  }
  bool flag(const char* key, bool when_missing) const {
    const json* value = find(key);
    if (value == nullptr) return when_missing;
    require(value->is_boolean(), "read ", io::quote(path), ": ", key, " is ", value->dump(),
            "; expected true or false");
    return value->get<bool>();
  }
};

std::array<float, 3> read_three(const Settings& settings, const char* key,
                                const std::array<float, 3>& when_missing) {
  const json* value = settings.find(key);
  if (value == nullptr) return when_missing;
  const auto usable = [](const json& number) {
    constexpr double kLargest = std::numeric_limits<float>::max();
    return number.is_number() && std::abs(number.get<double>()) <= kLargest;
  };
  require(
      value->is_array() && value->size() == 3 && std::all_of(value->begin(), value->end(), usable),
      "read ", io::quote(settings.path), ": ", key, " is ", value->dump(),
      "; expected three finite numbers");
  return value->get<std::array<float, 3>>();
}

/// A size is a number, {"shortest_edge": n} or {"height": n, "width": n}.
void require_size(const Settings& settings, const char* key, int64_t image_size) {
  const json* size = settings.find(key);
  if (size == nullptr) return;
  const auto agrees = [&](const json& number) { return number == image_size; };
  const bool same =
      size->is_object() ? std::all_of(size->begin(), size->end(), agrees) : agrees(*size);
  require(same, "read ", io::quote(settings.path), ": ", key, " is ", size->dump(),
          ", the network takes ", image_size, " pixels a side; both must agree");
}

/// What the network would see must be what we compute: resized, divided by 255, normalised.
void require_our_steps(const Settings& settings, int64_t image_size) {
  for (const char* key : {"do_rescale", "do_normalize"}) {
    require(settings.flag(key, true), "read ", io::quote(settings.path), ": ", key,
            " is false, which is not supported; set it to true");
  }
  const json* rescale = settings.find("rescale_factor");
  constexpr double kRounding = 1e-6;
  require(rescale == nullptr ||
              (rescale->is_number() && std::abs(rescale->get<double>() / kRescale - 1) < kRounding),
          "read ", io::quote(settings.path), ": rescale_factor is ",
          rescale == nullptr ? "" : rescale->dump(), "; only 1/255 is supported");
  if (settings.flag("do_resize", true)) require_size(settings, "size", image_size);
  if (settings.flag("do_center_crop", true)) require_size(settings, "crop_size", image_size);
}

}  // namespace

PixelNorm read_pixel_norm(const std::string& directory, int64_t image_size) {
  PixelNorm norm;
  const auto path = std::filesystem::path(directory) / "preprocessor_config.json";
  if (!std::filesystem::exists(path)) return norm;
  const Settings settings{io::read_json(path.string()), path.string()};
  require(settings.values.is_object(), "read ", io::quote(settings.path),
          ": not a JSON object; take the file from the checkpoint's release");
  require_our_steps(settings, image_size);
  norm.mean = read_three(settings, "image_mean", norm.mean);
  norm.std = read_three(settings, "image_std", norm.std);
  for (const float deviation : norm.std) {
    require(deviation > 0, "read ", io::quote(settings.path), ": image_std holds ", deviation,
            "; expected numbers above 0");
  }
  return norm;
}

at::Tensor resize_image(const Image& image, int64_t size, Resize resize) {
  auto resized = at::empty({size, size, 3}, at::kByte);
  auto* target = resized.mutable_data_ptr<std::uint8_t>();
  if (image.width() == size && image.height() == size) {
    std::memcpy(target, image.data(), resized.nbytes());
  } else if (resize == Resize::kBicubic) {
    resample_bicubic(image.data(), image.width(), image.height(), target, static_cast<int>(size));
  } else {
    const cv::Mat source(image.height(), image.width(), CV_8UC3,
                         const_cast<std::uint8_t*>(image.data()));
    cv::Mat squashed(static_cast<int>(size), static_cast<int>(size), CV_8UC3, target);
    cv::resize(source, squashed, squashed.size(), 0, 0, cv::INTER_LINEAR);
  }
  return resized;
}

at::Tensor normalize_pixels(const at::Tensor& pixels_u8, const PixelNorm& norm) {
  TORCH_CHECK(pixels_u8.dim() == 3 && pixels_u8.size(2) == 3 &&
                  pixels_u8.scalar_type() == at::kByte && pixels_u8.is_contiguous(),
              "normalize_pixels: expected contiguous [H, W, 3] uint8, found ", pixels_u8.sizes(),
              " ", pixels_u8.scalar_type());
  const auto height = pixels_u8.size(0);
  const auto width = pixels_u8.size(1);
  auto normalized = at::empty({1, 3, height, width}, at::kFloat);
  const auto* pixels = pixels_u8.const_data_ptr<std::uint8_t>();
  auto* target = normalized.mutable_data_ptr<float>();
  for (int channel = 0; channel < 3; ++channel) {
    std::array<float, 256> value_of;
    for (int level = 0; level < 256; ++level) {
      value_of[level] =
          (static_cast<float>(level * kRescale) - norm.mean[channel]) / norm.std[channel];
    }
    float* plane = target + channel * height * width;
    for (int64_t i = 0; i < height * width; ++i) plane[i] = value_of[pixels[3 * i + channel]];
  }
  return normalized;
}

}  // namespace groma
