#include <span>

#include "fuzz/support.h"
#include "fuzz/targets.h"
#include "groma/image.h"
#include "image/header.h"

namespace groma::fuzz {

void image(std::string_view input) {
  // Of large pictures the header alone: a thousand small ones are decoded in the same time.
  constexpr std::int64_t kMostPixels = 1 << 18;
  accepted([&] {
    const auto header = read_image_header(
        std::span(reinterpret_cast<const std::uint8_t*>(input.data()), input.size()), "fuzz");
    const auto pixels = std::int64_t{header.width} * header.height;
    promise(pixels > 0 && pixels <= kMaxImagePixels, "pictures have a size within the limits");
    promise(header.orientation >= 1 && header.orientation <= 8, "there are eight orientations");
    if (pixels > kMostPixels) return;
    const auto image = Image::decode(input.data(), input.size(), "fuzz");
    promise(std::int64_t{image.width()} * image.height() == pixels,
            "a picture is as large as its header says");
    unsigned sum = 0;
    for (std::int64_t i = 0; i < 3 * pixels; i += 97) sum += image.data()[i];
    promise(sum <= 255u * (3 * pixels / 97 + 1), "all pixels can be read");
  });
}

}  // namespace groma::fuzz
