#pragma once

#include <cstdint>
#include <functional>

namespace groma::ops {

/// Calls work(i) once for every i in [0, count), on at most `threads` threads, the caller's among
/// them, and returns when all are done.
///
/// Made for the many short loops of a decoder. Whoever is free takes the next i, so a thread that
/// other work holds up costs one call of `work` and not the loop; threads wait for the next loop
/// for some microseconds and then sleep. (OpenMP waits for every thread of the team at the end of a
/// loop, whether it has had work or not.) Loops of several callers run one after the other.
///
/// work      must not throw, nor call this function
void for_each_chunk(int64_t count, int threads, const std::function<void(int64_t)>& work);

}  // namespace groma::ops
