// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Blocks of a cluster: they run at once, wait for one another, and reach each other's shared
/// memory.

#pragma once

#include <tka/config.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// Compiled for a device without clusters, block 0 of those that would be one does the work alone.
struct cluster {
  int size;
  int rank;

  /// This block's, of the `blocks` that the launch asks for.
  [[nodiscard]] __device__ static cluster own(int blocks) noexcept {
    int const rank = static_cast<int>(blockIdx.x) % blocks;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    return {blocks, rank};
#else
    return {1, rank};
#endif
  }
  [[nodiscard]] __device__ bool works() const noexcept { return rank < size; }
  [[nodiscard]] __device__ bool alone() const noexcept { return size == 1; }

  /// All threads of all its blocks; what they wrote before may be read after.
  __device__ void wait() const noexcept {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    if (size > 1) {
      asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
      asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
      return;
    }
#endif
    __syncthreads();
  }

  /// The same variable of another block.
  template <class T>
  [[nodiscard]] __device__ T* of(T* own, int other) const noexcept {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    if (size > 1) {
      std::uint64_t address;
      asm("mapa.u64 %0, %1, %2;" : "=l"(address) : "l"(own), "r"(other));
      return reinterpret_cast<T*>(address);
    }
#endif
    return own;
  }
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
