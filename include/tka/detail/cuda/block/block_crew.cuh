// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The threads of a block as the crew of one row.

#pragma once

#include <tka/config.hpp>
#include <tka/status.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cuda {

/// `Threads` threads, a multiple of 32: all of a block. See `one_thread` for the members.
template <std::int32_t Threads>
struct block_crew {
  static_assert(Threads % 32 == 0);
  static constexpr std::int32_t size = Threads;
  static constexpr std::int32_t warps = Threads / 32;

  float* of_warps;  ///< [warps] in shared memory

  [[nodiscard]] __device__ std::int32_t rank() const noexcept {
    return static_cast<std::int32_t>(threadIdx.x);
  }
  __device__ void sync() const noexcept { __syncthreads(); }
  [[nodiscard]] __device__ float largest(float x) const noexcept {
    for (int offset = 16; offset > 0; offset /= 2) {
      float const other = __shfl_xor_sync(0xffffffffu, x, offset);
      x = other > x ? other : x;
    }
    if (rank() % 32 == 0) of_warps[rank() / 32] = x;
    sync();
    for (std::int32_t warp = 0; warp < warps; ++warp) {
      x = of_warps[warp] > x ? of_warps[warp] : x;
    }
    sync();  // the next call writes of_warps
    return x;
  }
  __device__ void report(std::uint32_t* word, data_error bit) const noexcept {
    if (word != nullptr && rank() == 0) atomicOr(word, static_cast<std::uint32_t>(bit));
  }
};

}  // namespace tka::inline TKA_ABI::detail::cuda
