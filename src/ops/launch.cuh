#pragma once

#include <ATen/cuda/detail/KernelUtils.h>  // CUDA_KERNEL_LOOP
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <limits>

namespace groma::ops {

/// Threads of a block. ptxas gives the kernels 32 to 64 registers a thread on sm_90 (float and half
/// forward: 40 to 48), so that 4 to 8 blocks of the 65536 registers fit a multiprocessor: at least
/// half of its 64 warps, each with up to four 16-byte reads a thread under way.
inline constexpr int kThreads = 256;

/// Elements of T in the widest load and store of a thread, 16 bytes.
template <typename T>
inline constexpr int kVectorLanes = 16 / sizeof(T);

/// Whether rows of `channels` elements can be read and written kVectorLanes at a time.
template <typename T>
bool fits_vectors(int channels, std::initializer_list<const void*> rows) {
  return channels % kVectorLanes<T> == 0 &&
         std::all_of(rows.begin(), rows.end(),
                     [](const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; });
}

/// Runs kernel(count, arguments...), which loops with CUDA_KERNEL_LOOP, on the current stream.
template <typename... Parameters, typename... Arguments>
void launch(int64_t count, void (*kernel)(int, Parameters...), const Arguments&... arguments) {
  TORCH_CHECK(count <= std::numeric_limits<int>::max(), "CUDA loop over ", count,
              " items, at most ", std::numeric_limits<int>::max());
  const int blocks = at::cuda::detail::GET_BLOCKS(count, kThreads);
  kernel<<<blocks, kThreads, 0, c10::cuda::getCurrentCUDAStream()>>>(static_cast<int>(count),
                                                                     arguments...);
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace groma::ops
