#pragma once

#include <string>

#include "groma/mask.h"

namespace groma {

/// throws    Error, which begins with `which`, for a mask of another size than the image or an
///           empty one
void check_mask(const Mask& mask, const Image& image, const std::string& which);

}  // namespace groma
