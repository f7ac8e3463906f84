// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Asynchronous copies from global to shared memory.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/warp/shared_memory.cuh>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cuda {

/// 16 bytes; where `there` is false nothing is read and zeros are written.
__device__ inline void copy_16_async(std::uint32_t to, void const* from, bool there) noexcept {
  int const bytes = there ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes)
               : "memory");
}
/// How long lines that are read stay in the L2, for copies that are told so.
using l2_policy = std::uint64_t;
/// As others, or (`first`) not longer than they must: they leave before all others.
[[nodiscard]] __device__ inline l2_policy policy_to_leave(bool first) noexcept {
  l2_policy p;
  if (first) {
    asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(p));
  } else {
    asm("createpolicy.fractional.L2::evict_normal.b64 %0, 1.0;" : "=l"(p));
  }
  return p;
}
__device__ inline void copy_16_async(std::uint32_t to, void const* from, bool there,
                                     l2_policy policy) noexcept {
  int const bytes = there ? 16 : 0;
  asm volatile("cp.async.cg.shared.global.L2::cache_hint [%0], [%1], 16, %2, %3;" ::"r"(to),
               "l"(from), "r"(bytes), "l"(policy)
               : "memory");
}
__device__ inline void copy_16_async(void* to, void const* from, bool there) noexcept {
  copy_16_async(shared_address(to), from, there);
}

/// The same for rows that begin at any multiple of 4 bytes.
__device__ inline void copy_16_by_words_async(void* to, void const* from, bool there) noexcept {
  int const bytes = there ? 4 : 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared_address(to) + 4 * i),
                 "l"(static_cast<char const*>(from) + (there ? 4 * i : 0)), "r"(bytes)
                 : "memory");
  }
}

__device__ inline void commit_copies() noexcept { asm volatile("cp.async.commit_group;"); }

/// Waits until at most `Left` of this thread's groups of copies are under way.
template <int Left>
__device__ inline void wait_for_copies() noexcept {
  asm volatile("cp.async.wait_group %0;" ::"n"(Left) : "memory");
}

/// Where chunk `chunk` (16 bytes) of line `line` (128 bytes) lies: lines are rotated so that eight
/// lines under one another meet eight different groups of banks.
[[nodiscard]] __device__ inline int swizzled(int line, int chunk) noexcept {
  return line * 128 + ((chunk ^ (line & 7)) << 4);
}

}  // namespace tka::inline TKA_ABI::detail::cuda
