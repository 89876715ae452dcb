#pragma once

#include <string>

#include "groma/formats.h"

namespace groma {

/// The picture with boxes and labels as one SVG file; the picture is inside, as a jpeg.
std::string svg_of(const Image& image, const ImageAnswer& answer);

/// A page of one file: picture, boxes, and the answer, whose phrases light up their boxes when
/// pointed at, tapped or reached by keyboard.
std::string web_page_of(const Image& image, const ImageAnswer& answer);

}  // namespace groma
