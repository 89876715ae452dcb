#pragma once

#include <cstddef>

namespace groma::testing {

/// Lets the n-th allocation by operator new from now on fail, in any thread; 0: none.
///
/// Programs that link allocations.cpp have their operators new and delete replaced. The
/// sentencepiece library does not survive a failure of its own allocations; those do not count.
void fail_allocation(std::size_t n);

std::size_t allocations();          ///< since the last `fail_allocation`
std::ptrdiff_t live_allocations();  ///< made and not freed
bool allocation_failed();           ///< whether the one to fail has been reached

}  // namespace groma::testing
