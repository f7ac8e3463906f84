// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Sums over a block of threads.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/tuning.cuh>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cuda {

/// The sum over this lane and those before it.
[[nodiscard]] __device__ inline std::uint32_t inclusive_warp_sum(std::uint32_t sum) noexcept {
#pragma unroll
  for (int step = 1; step < 32; step *= 2) {
    std::uint32_t const other = __shfl_up_sync(0xffffffffu, sum, step);
    if (static_cast<int>(threadIdx.x % 32) >= step) sum += other;
  }
  return sum;
}

/// The sum of what the threads of earlier warps gave; `total` becomes the sum of all. `shared`:
/// block_warps words.
[[nodiscard]] __device__ inline std::uint32_t sum_of_warps_before(std::uint32_t own,
                                                                  std::uint32_t* shared,
                                                                  std::uint32_t& total) noexcept {
  auto const warp = static_cast<int>(threadIdx.x / 32);
  std::uint32_t const sum = __reduce_add_sync(0xffffffffu, own);
  __syncthreads();  // `shared` is done with
  if (threadIdx.x % 32 == 0) shared[warp] = sum;
  __syncthreads();
  std::uint32_t before = 0;
  total = 0;
#pragma unroll
  for (int w = 0; w < block_warps; ++w) {
    std::uint32_t const part = shared[w];
    before += w < warp ? part : 0;
    total += part;
  }
  return before;
}

/// The sum of what earlier threads of the block gave; else the same.
[[nodiscard]] __device__ inline std::uint32_t exclusive_sum(std::uint32_t own,
                                                            std::uint32_t* shared,
                                                            std::uint32_t& total) noexcept {
  std::uint32_t const warps = sum_of_warps_before(own, shared, total);
  return warps + inclusive_warp_sum(own) - own;
}

}  // namespace tka::inline TKA_ABI::detail::cuda
