#pragma once

#include <cstdlib>

namespace groma::testing {

/// Whether the tests of this folder run at their whole length, an hour; see scripts/endurance.sh.
inline bool whole_length() { return std::getenv("GROMA_ENDURANCE") != nullptr; }

}  // namespace groma::testing
