#pragma once

#include <cstddef>

namespace groma::testing {

/// What programs ask of the system about files. Programs that link calls.cpp have the C library's
/// functions of these names replaced, for themselves and for every library they use.
enum class Call { kOpen, kRead, kWrite, kMap, kSync, kRename, kCut };

/// From now on the n-th call of a kind fails with `error`; with error 0 and kRead or kWrite it
/// moves half the bytes instead. Other calls pass. All threads are counted together.
void fail_call(Call call, std::size_t n, int error);

/// Lets all calls pass again.
///
/// returns   how many calls of the kind there were since `fail_call`
std::size_t stop_failing();

/// Open descriptors of this process, and its maps of files below `folder`.
std::size_t open_descriptors();
std::size_t mapped_files(const char* folder);

}  // namespace groma::testing
