// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Radix select by three digits, from the top: which bits each digit has, and the bin of the
/// threshold in a histogram of falling keys.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/block/block_sum.cuh>
#include <tka/detail/cuda/tuning.cuh>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cuda {

inline constexpr int digits = 3;
inline constexpr int most_bins = 2048;
inline constexpr int histogram_words = 2048 + 2048 + 1024;

/// 11, 11 and 10 bits.
[[nodiscard]] __device__ constexpr int shift_of(int digit) noexcept {
  return digit == 0 ? 21 : digit == 1 ? 10 : 0;
}
[[nodiscard]] __device__ constexpr int bins_of(int digit) noexcept {
  return digit == 2 ? 1024 : 2048;
}

/// What is known of a threshold after some digits.
struct digit_state {
  static constexpr std::uint32_t all = 0xffffffffu;
  std::uint32_t prefix = 0;  ///< its bits so far
  std::uint32_t wanted = 0;  ///< keys of its bin that are kept; 0: none, `all`: every one

  [[nodiscard]] __device__ bool ended() const noexcept { return wanted == 0 || wanted == all; }
};

/// Shared memory of a search.
struct digit_memory {
  std::uint32_t sums[block_warps + 1];
  digit_state found;
};

/// The bin in which the keys that are wanted end. `first`: there may be fewer keys than wanted.
/// All threads of the block; all get the answer.
[[nodiscard]] __device__ __noinline__ inline digit_state find_bin(std::uint32_t const* histogram,
                                                                  int digit,
                                                                  digit_state const& known,
                                                                  digit_memory& memory) noexcept {
  if (known.ended()) return known;
  constexpr int most_own = most_bins / block_threads;
  int const own = bins_of(digit) / block_threads;
  int const top = bins_of(digit) - 1 - static_cast<int>(threadIdx.x) * own;
  std::uint32_t n[most_own];
  std::uint32_t sum = 0;
#pragma unroll
  for (int i = 0; i < most_own; ++i) {
    n[i] = i < own ? histogram[top - i] : 0;
    sum += n[i];
  }
  std::uint32_t total = 0;
  std::uint32_t before = exclusive_sum(sum, memory.sums, total);
  if (total < known.wanted) return {0, digit_state::all};
#pragma unroll
  for (int i = 0; i < most_own; ++i) {
    if (before < known.wanted && known.wanted <= before + n[i]) {
      memory.found = {known.prefix << (digit == 2 ? 10 : 11) | static_cast<std::uint32_t>(top - i),
                      known.wanted - before};
    }
    before += n[i];
  }
  __syncthreads();
  return memory.found;
}

}  // namespace tka::inline TKA_ABI::detail::cuda
