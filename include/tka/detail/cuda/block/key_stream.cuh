// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The keys of a row on their way from scratch to the threads of a block.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/tuning.cuh>
#include <tka/detail/cuda/unit.cuh>
#include <tka/detail/cuda/warp/async_copy.cuh>
#include <tka/detail/cuda/warp/shared_memory.cuh>
#include <tka/detail/shared/ordered_key.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cuda {

/// A key and its compact index.
struct key_place {
  ordered_key key;
  std::int32_t index;
};

/// Items of a run, [begin, end).
struct item_range {
  std::int32_t begin;
  std::int32_t end;
};

/// Keys of a row next to one another, in scratch: `keys[i]` is compact index `first` + i. Four of
/// them may be read at any multiple of four.
struct key_run {
  ordered_key const* keys;
  std::int32_t first;
  std::int32_t count;

  /// What a warp reads at once, four keys a lane.
  static constexpr std::int32_t warp_keys = 128;

  /// This warp's share, in order of the warps.
  [[nodiscard]] __device__ item_range own() const noexcept {
    auto const warp = static_cast<std::int32_t>(threadIdx.x / 32);
    auto const each = static_cast<std::int32_t>(
        (static_cast<std::uint32_t>(count) + warp_keys * block_warps - 1) /
        (warp_keys * block_warps) * warp_keys);
    return {smaller(count, each * warp), smaller(count, each * (warp + 1))};
  }
  [[nodiscard]] __device__ key_place at(std::int32_t i) const noexcept {
    return {keys[i], first + i};
  }
};

/// Brings runs to their threads by way of shared memory, where keys on their way cost no registers.
/// What a thread reads it has brought itself, so there are no barriers.
class key_stream {
 public:
  static constexpr int stages = 4;
  static constexpr int stage_bytes = 16 * block_threads;
  static constexpr int bytes = stages * stage_bytes;

  /// `memory` begins at a multiple of 16 bytes.
  __device__ explicit key_stream(char* memory) noexcept
      : own_(shared_address(memory) + 16 * threadIdx.x) {}

  /// use(i, key[4]) for the warp's share of the run, 128 keys a step, ascending: a lane has i to
  /// i + 3. Behind the end there are keys of nothing.
  template <class Use>
  __device__ void each(key_run const& run, Use&& use) const noexcept {
    auto const [begin, end] = run.own();
    std::int32_t const first = begin + 4 * static_cast<std::int32_t>(threadIdx.x % 32);
    std::uint32_t stage = own_;
#pragma unroll 1
    for (int s = 0; s < stages; ++s) copy(run, first + s * key_run::warp_keys, end, stage);
#pragma unroll 1
    for (std::int32_t step = begin, i = first; step < end;
         step += key_run::warp_keys, i += key_run::warp_keys) {
      wait_for_copies<stages - 1>();
      int4 const four = load_shared_four(stage);
      ordered_key key[4] = {four.x, four.y, four.z, four.w};
      if (i + 4 > end) {
#pragma unroll
        for (int j = 0; j < 4; ++j) key[j] = i + j < end ? key[j] : key_of_nothing;
      }
      use(i, key);
      copy(run, i + stages * key_run::warp_keys, end, stage);
    }
    wait_for_copies<0>();
  }

 private:
  /// To a stage that is read, and on to the next.
  __device__ void copy(key_run const& run, std::int32_t i, std::int32_t end,
                       std::uint32_t& stage) const noexcept {
    if (i < end) copy_16_async(stage, run.keys + i, true);
    commit_copies();
    stage = stage == own_ + (stages - 1) * stage_bytes ? own_ : stage + stage_bytes;
  }

  std::uint32_t own_;
};

}  // namespace tka::inline TKA_ABI::detail::cuda
