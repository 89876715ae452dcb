#pragma once

#include <ATen/core/Tensor.h>
#include <c10/macros/Macros.h>
#include <c10/util/Exception.h>

/// What the kernel bodies and the loops of all ops share.
namespace groma::ops {

#ifdef GROMA_WITH_CUDA
inline constexpr bool kWithCuda = true;
#else
inline constexpr bool kWithCuda = false;
#endif

/// Throws c10::Error unless this build has a loop for the device of `tensor`.
inline void check_device(const char* op, const at::Tensor& tensor) {
  TORCH_CHECK(tensor.is_cpu() || tensor.is_cuda(), op, ": tensors lie on ", tensor.device(),
              ", expected cpu or cuda");
  TORCH_CHECK(kWithCuda || tensor.is_cpu(), op, ": tensors lie on ", tensor.device(),
              ", but this build has CPU loops only; configure it with GROMA_CUDA=ON");
}

/// Adds to memory that other threads may add to as well: atomic on a GPU. On a CPU it is plain, and
/// the loops there give each worker memory of its own.
template <typename Real>
C10_HOST_DEVICE void accumulate(Real* target, Real value) {
#ifdef __CUDA_ARCH__
  atomicAdd(target, value);
#else
  *target += value;
#endif
}

/// Neighbouring elements that a GPU reads or writes in one access, and so must be aligned.
template <typename T, int kLanes>
struct alignas(kLanes * sizeof(T)) Pack {
  T lanes[kLanes];
  C10_HOST_DEVICE const T& operator[](int lane) const { return lanes[lane]; }
};

/// Neighbouring elements to read by index. On a CPU they stay where they are: the compiler turns
/// the loop over them into wide reads by itself, and their count is free.
#ifdef __CUDA_ARCH__
template <int kLanes, typename T>
C10_HOST_DEVICE Pack<T, kLanes> load(const T* from) {
  return *reinterpret_cast<const Pack<T, kLanes>*>(from);
}
#else
template <int kLanes, typename T>
C10_HOST_DEVICE const T* load(const T* from) {
  return from;
}
#endif

/// Writes the first `lanes` values; on a GPU all of them.
template <int kLanes, typename T, typename Real>
C10_HOST_DEVICE void store(T* to, const Real (&values)[kLanes], [[maybe_unused]] int lanes) {
#ifdef __CUDA_ARCH__
  Pack<T, kLanes> pack;
  for (int lane = 0; lane < kLanes; ++lane) pack.lanes[lane] = static_cast<T>(values[lane]);
  *reinterpret_cast<Pack<T, kLanes>*>(to) = pack;
#else
  for (int lane = 0; lane < lanes; ++lane) to[lane] = static_cast<T>(values[lane]);
#endif
}

}  // namespace groma::ops
