// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What is left of a run of keys when the first digit of the threshold is known.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/block/key_stream.cuh>
#include <tka/detail/cuda/tuning.cuh>
#include <tka/detail/cuda/unit.cuh>
#include <tka/detail/cuda/warp/shared_memory.cuh>
#include <tka/detail/shared/ordered_key.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cuda {

/// Some keys of a run, in shared memory: each warp's of its own share, in order, as far as there is
/// room.
class survivors {
 public:
  /// For 64 keys a warp.
  static constexpr int least_bytes = 64 * 6 * block_warps;

  /// `memory` begins at a multiple of 4 bytes.
  __device__ survivors(char* memory, int bytes) noexcept
      : room_(smaller(most_of_a_warp, bytes / (6 * block_warps) / 2 * 2)),
        keys_(shared_address(memory) + threadIdx.x / 32 * 6 * static_cast<std::uint32_t>(room_)),
        indices_(keys_ + 4 * static_cast<std::uint32_t>(room_)) {}

  /// Takes those keys of the run for which `stays(index, key)`. All threads of the block; ends with
  /// a barrier.
  template <class Stays>
  __device__ void take(key_run const& run, key_stream const& stream, Stays&& stays) noexcept {
    auto const [begin, end] = run.own();
    unsigned const lower = (1u << threadIdx.x % 32) - 1;
    first_ = run.first + begin;
    count_ = 0;
    stream.each(run, [&, begin = begin](std::int32_t i, ordered_key const(&key)[4]) {
      bool stay[4];
      std::int32_t slot = count_;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        stay[j] = stays(run.first + i + j, key[j]);
        unsigned const all = __ballot_sync(0xffffffffu, stay[j]);
        slot += __popc(all & lower);
        count_ += __popc(all);
      }
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        if (!stay[j]) continue;
        if (slot < room_) {
          auto const n = static_cast<std::uint32_t>(slot);
          store_shared(keys_ + 4 * n, key[j]);
          store_shared_16(indices_ + 2 * n, i - begin + j);
        }
        ++slot;
      }
    });
    complete_ = __syncthreads_and(count_ <= room_ && end - begin <= most_of_a_warp) != 0;
  }

  /// Whether there was room for all that stay, in all warps.
  [[nodiscard]] __device__ bool complete() const noexcept { return complete_; }
  /// Of this warp, those that were taken.
  [[nodiscard]] __device__ item_range own() const noexcept { return {0, count_}; }
  [[nodiscard]] __device__ key_place at(std::int32_t i) const noexcept {
    auto const n = static_cast<std::uint32_t>(i);
    return {load_shared(keys_ + 4 * n), first_ + load_shared_16(indices_ + 2 * n)};
  }

 private:
  static constexpr std::int32_t most_of_a_warp = 0xffff;  ///< indices have 16 bits

  std::int32_t room_;
  std::uint32_t keys_;
  std::uint32_t indices_;
  std::int32_t first_ = 0;
  std::int32_t count_ = 0;
  bool complete_ = false;
};

}  // namespace tka::inline TKA_ABI::detail::cuda
