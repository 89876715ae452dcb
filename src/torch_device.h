#pragma once

#include <c10/core/Device.h>

#include "groma/groma.h"

namespace groma {

/// The device to compute on.
///
/// doing   what for, to begin the message with: "load"
/// throws  Error where no CUDA device can be used
at::Device torch_device(Device device, const char* doing);

}  // namespace groma
