// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Sums over a block of threads.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/tuning.cuh>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cuda {

/// The sum of what earlier threads of the block gave; `total` becomes the sum of all. `shared`:
/// block_warps + 1 words, free again behind the next barrier.
[[nodiscard]] __device__ inline std::uint32_t exclusive_sum(std::uint32_t own,
                                                            std::uint32_t* shared,
                                                            std::uint32_t& total) noexcept {
  auto const lane = static_cast<int>(threadIdx.x % 32);
  auto const warp = static_cast<int>(threadIdx.x / 32);
  std::uint32_t sum = own;
#pragma unroll
  for (int step = 1; step < 32; step *= 2) {
    std::uint32_t const other = __shfl_up_sync(0xffffffffu, sum, step);
    if (lane >= step) sum += other;
  }
  __syncthreads();  // `shared` is done with
  if (lane == 31) shared[warp] = sum;
  __syncthreads();
  std::uint32_t before = 0;
  total = 0;
#pragma unroll
  for (int w = 0; w < block_warps; ++w) {
    std::uint32_t const part = shared[w];
    if (w < warp) before += part;
    total += part;
  }
  return before + sum - own;
}

}  // namespace tka::inline TKA_ABI::detail::cuda
