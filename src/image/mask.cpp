#include "groma/mask.h"

#include <algorithm>
#include <opencv2/imgproc.hpp>

#include "check.h"
#include "image/mask_check.h"
#include "io/file.h"

namespace groma {
namespace {

/// The mask as OpenCV's matrix; shares the memory.
cv::Mat view(const Mask& mask) {
  return {mask.height, mask.width, CV_8UC1, const_cast<std::uint8_t*>(mask.inside.data())};
}

bool same(const Point& a, const Point& b) { return a.x == b.x && a.y == b.y; }

}  // namespace

Mask read_mask(const std::string& path, int width, int height) {
  const auto picture = Image::open(path);
  require(picture.width() == width && picture.height() == height, "read the mask ", io::quote(path),
          ": ", picture.width(), " x ", picture.height(), " pixels, the picture has ", width, " x ",
          height, "; give a mask of the same size");
  Mask mask{width, height, std::vector<std::uint8_t>(static_cast<std::size_t>(width) * height)};
  const auto* rgb = picture.data();
  for (auto& pixel : mask.inside) {
    pixel = rgb[0] + rgb[1] + rgb[2] > 0;
    rgb += 3;
  }
  require(area_of(mask) > 0, "read the mask ", io::quote(path),
          ": all of it is black; paint what is meant in another colour");
  return mask;
}

void check_mask(const Mask& mask, const Image& image, const std::string& which) {
  require(mask.width == image.width() && mask.height == image.height() &&
              mask.inside.size() == static_cast<std::size_t>(mask.width) * mask.height,
          which, " is ", mask.width, " x ", mask.height, " pixels, the picture ", image.width(),
          " x ", image.height(), "; give a mask of the picture's size");
  require(area_of(mask) > 0, which, " is empty; mark at least one pixel");
}

std::int64_t area_of(const Mask& mask) {
  return static_cast<std::int64_t>(mask.inside.size()) -
         std::count(mask.inside.begin(), mask.inside.end(), 0);
}

Box tight_box(const Mask& mask) {
  const auto rect = cv::boundingRect(view(mask));
  return {static_cast<float>(rect.x), static_cast<float>(rect.y), static_cast<float>(rect.br().x),
          static_cast<float>(rect.br().y)};
}

std::vector<std::vector<Point>> outlines_of(const Mask& mask) {
  std::vector<std::vector<cv::Point>> contours;
  // Doubled, so that outlines run along the pixels' edges rather than through their centres.
  cv::Mat twice;
  cv::resize(view(mask), twice, {}, 2, 2, cv::INTER_NEAREST);
  cv::findContours(twice, contours, cv::RETR_EXTERNAL, cv::CHAIN_APPROX_SIMPLE);
  std::vector<std::vector<Point>> outlines;
  for (const auto& contour : contours) {
    if (contour.size() < 3) continue;
    auto& outline = outlines.emplace_back();
    for (const auto& at : contour) {
      const Point corner{static_cast<float>((at.x + 1) / 2), static_cast<float>((at.y + 1) / 2)};
      if (outline.empty() || !same(outline.back(), corner)) outline.push_back(corner);
    }
    if (same(outline.front(), outline.back())) outline.pop_back();
  }
  return outlines;
}

std::string to_coco_rle(const Mask& mask) {
  std::vector<std::int64_t> runs;
  std::int64_t length = 0;
  bool inside = false;
  for (int x = 0; x < mask.width; ++x) {
    for (int y = 0; y < mask.height; ++y) {
      if (mask.at(x, y) != inside) {
        runs.push_back(length);
        length = 0;
        inside = !inside;
      }
      ++length;
    }
  }
  runs.push_back(length);
  std::string text;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    // From the fourth run on the difference to the run of the same kind before.
    std::int64_t rest = i > 2 ? runs[i] - runs[i - 2] : runs[i];
    for (bool more = true; more;) {
      std::int64_t bits = rest & 0x1f;
      rest >>= 5;
      more = (bits & 0x10) != 0 ? rest != -1 : rest != 0;
      if (more) bits |= 0x20;
      text += static_cast<char>(bits + 48);
    }
  }
  return text;
}

}  // namespace groma
