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

/// The blocks must all be resident. A block alone needs no memory and never waits.
class team {
 public:
  __device__ team() noexcept {}
  __device__ team(int size, int rank, team_memory* memory) noexcept
      : size_(size), rank_(rank), memory_(memory) {}

  [[nodiscard]] __device__ int size() const noexcept { return size_; }
  [[nodiscard]] __device__ int rank() const noexcept { return rank_; }
  [[nodiscard]] __device__ bool alone() const noexcept { return size_ == 1; }
  [[nodiscard]] __device__ team_memory& memory() const noexcept { return *memory_; }
  /// Which of the counts are written next: once a row, by all its blocks.
  [[nodiscard]] __device__ int turn() noexcept { return turn_ ^= 1; }

  /// All threads of all its blocks; what they wrote before, all may read behind it.
  __device__ void wait() noexcept {
    __syncthreads();
    target_ += static_cast<std::uint32_t>(size_);
    if (threadIdx.x == 0) {
      __threadfence();
      atomicAdd(&memory_->arrived, 1u);
      while (*static_cast<std::uint32_t volatile*>(&memory_->arrived) < target_) {
      }
      __threadfence();
    }
    __syncthreads();
  }

 private:
  int size_ = 1;
  int rank_ = 0;
  team_memory* memory_ = nullptr;
  std::uint32_t target_ = 0;
  int turn_ = 0;
};

}  // namespace tka::inline TKA_ABI::detail::cuda
