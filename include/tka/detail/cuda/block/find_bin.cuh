// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Radix select by three digits, from the top: which bits each digit has, and the bin of the
/// threshold in a histogram.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/block/block_sum.cuh>
#include <tka/detail/cuda/tuning.cuh>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cuda {

inline constexpr int digits = 3;
inline constexpr int most_bins = 2048;

/// 11, 11 and 10 bits.
[[nodiscard]] __device__ constexpr int shift_of(int digit) noexcept {
  return digit == 0 ? 21 : digit == 1 ? 10 : 0;
}
[[nodiscard]] __device__ constexpr int bins_of(int digit) noexcept {
  return digit == 2 ? 1024 : 2048;
}

/// What is known of a threshold after some digits.
struct digit_state {
  std::uint32_t prefix = 0;  ///< its bits so far
  std::uint32_t wanted = 0;  ///< keys that are kept of those with these bits
};

/// Shared memory of a search.
struct digit_memory {
  std::uint32_t sums[block_warps];
  digit_state found;
};

/// The bin in which the keys that are wanted end; there are as many. `histogram` is in shared or
/// global memory, at a multiple of 16 bytes. All threads of the block; all get the answer, and none
/// before all have read the histogram.
[[nodiscard]] __device__ __forceinline__ digit_state find_bin(std::uint32_t const* histogram,
                                                              int digit, digit_state known,
                                                              digit_memory& memory) noexcept {
  constexpr int most_own = most_bins / block_threads;
  static_assert(most_own % 4 == 0 && 1024 / block_threads == most_own / 2);
  // The first thread has the bins at the top.
  int const own = bins_of(digit) / block_threads;
  int const end = bins_of(digit) - static_cast<int>(threadIdx.x) * own;
  std::uint32_t n[most_own];  // falling
  std::uint32_t sum = 0;
#pragma unroll
  for (int i = 0; i < most_own; i += 4) {
    uint4 const four = i < own ? *reinterpret_cast<uint4 const*>(histogram + end - i - 4) : uint4{};
    n[i] = four.w;
    n[i + 1] = four.z;
    n[i + 2] = four.y;
    n[i + 3] = four.x;
    sum += four.x + four.y + four.z + four.w;
  }
  std::uint32_t total = 0;
  std::uint32_t before = exclusive_sum(sum, memory.sums, total);
  if (before < known.wanted && known.wanted <= before + sum) {
    int bin = end - 1;
#pragma unroll
    for (int i = 0; i < most_own - 1; ++i) {
      if (bin == end - 1 - i && before + n[i] < known.wanted) {
        before += n[i];
        --bin;
      }
    }
    memory.found = {known.prefix << (digit == 2 ? 10 : 11) | static_cast<std::uint32_t>(bin),
                    known.wanted - before};
  }
  __syncthreads();
  return memory.found;
}

}  // namespace tka::inline TKA_ABI::detail::cuda
