// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A bit for each key of a block's slice: which of the keys that it knows come before which.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/block/block_sum.cuh>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// Each thread counts a run of neighbouring words; what lies within a run is counted when it is
/// asked for.
template <int Threads>
class position_bits {
 public:
  /// Bytes for the bits of slices of up to `slice` keys.
  [[nodiscard]] TKA_HOST_DEVICE static constexpr int bytes(std::int64_t slice) noexcept {
    return 4 * (Threads / 32 + Threads + (Threads << run_shift(slice)));
  }

  /// `memory`: bytes(slice), at a multiple of 16, for the slices that are named.
  __device__ explicit position_bits(char* memory) noexcept
      : of_warp_(reinterpret_cast<std::uint32_t*>(memory)),
        before_(of_warp_ + Threads / 32),
        words_(before_ + Threads) {}
  __device__ void set_slice(std::int64_t slice) noexcept { shift_ = run_shift(slice); }

  /// A barrier must follow.
  __device__ void clear() noexcept {
#pragma unroll 1
    for (int i = thread(); i < (Threads << shift_) / 4; i += Threads) {
      reinterpret_cast<uint4*>(words_)[i] = uint4{};
    }
  }
  __device__ void set(std::uint32_t i) noexcept { atomicOr(&words_[i / 32], 1u << (i % 32)); }

  /// After all are set: makes `rank` ready. All threads.
  __device__ void count() noexcept {
    __syncthreads();
    std::uint32_t own = 0;
#pragma unroll 1
    for (int i = 0; i < 1 << shift_; ++i) own += __popc(words_[(thread() << shift_) + i]);
    std::uint32_t const all = inclusive_warp_sum(own);
    if (thread() % 32 == 31) of_warp_[thread() / 32] = all;
    __syncthreads();
    int const lane = thread() % 32;
    std::uint32_t const earlier =
        __reduce_add_sync(0xffffffffu, lane < thread() / 32 ? of_warp_[lane % (Threads / 32)] : 0);
    before_[thread()] = earlier + all - own;
    __syncthreads();
  }
  /// Bits set below bit i.
  [[nodiscard]] __device__ std::uint32_t rank(std::uint32_t i) const noexcept {
    std::uint32_t const word = i / 32;
    std::uint32_t const run = word >> shift_;
    std::uint32_t n = before_[run] + __popc(words_[word] & ((1u << (i % 32)) - 1));
#pragma unroll 1
    for (std::uint32_t w = run << shift_; w < word; ++w) n += __popc(words_[w]);
    return n;
  }

 private:
  [[nodiscard]] __device__ static int thread() noexcept { return static_cast<int>(threadIdx.x); }
  [[nodiscard]] TKA_HOST_DEVICE static constexpr int run_shift(std::int64_t slice) noexcept {
    int shift = 0;
    while (std::int64_t{32 * Threads} << shift < slice) ++shift;
    return shift;
  }

  std::uint32_t* const of_warp_;
  std::uint32_t* const before_;  ///< bits before each run
  std::uint32_t* const words_;
  int shift_ = 0;  ///< a thread has 1 << shift_ words
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
