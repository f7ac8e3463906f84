// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Blocks that work on one row together: their memory, and how they wait for one another.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/block/find_bin.cuh>
#include <tka/detail/cuda/tuning.cuh>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cuda {

/// In scratch. All zero when a stage begins; its histograms are again when a row is done.
struct team_memory {
  std::uint32_t histogram[digits][most_bins];
  /// Of each block: keys above the threshold, equal to it. Twice: a block may come to its next row
  /// while another still reads those of the last.
  std::uint32_t counts[2][most_team][2];
  std::uint32_t forced;   ///< keys above -inf
  std::uint32_t arrived;  ///< at barriers, ever
  std::uint32_t unused[30];
};
static_assert(sizeof(team_memory) % 128 == 0);

/// A block's place in a team, in shared memory. The blocks of a team must all be resident; a block
/// alone needs no memory and never waits.
struct team {
  std::int32_t size;
  std::int32_t rank;
  team_memory* memory;
  std::uint32_t target;  ///< arrivals behind the next barrier
  std::uint32_t turn;    ///< of the counts: which are written next, once a row, by all its blocks

  [[nodiscard]] __device__ bool alone() const noexcept { return size == 1; }

  /// All threads of all its blocks; what they wrote before, all may read behind it.
  __device__ void wait() noexcept {
    __syncthreads();
    if (threadIdx.x == 0) {
      target += static_cast<std::uint32_t>(size);
      arrive(memory->arrived);
      while (arrivals(memory->arrived) < target) {
      }
    }
    __syncthreads();
  }

 private:
  // Release and acquire: whole fences would take longer than all else here.
  __device__ static void arrive(std::uint32_t& count) noexcept {
    asm volatile("red.release.gpu.global.add.u32 [%0], 1;" ::"l"(__cvta_generic_to_global(&count))
                 : "memory");
  }
  [[nodiscard]] __device__ static std::uint32_t arrivals(std::uint32_t const& count) noexcept {
    std::uint32_t n;
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];"
                 : "=r"(n)
                 : "l"(__cvta_generic_to_global(&count))
                 : "memory");
    return n;
  }
};

}  // namespace tka::inline TKA_ABI::detail::cuda
