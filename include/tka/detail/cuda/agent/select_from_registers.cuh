// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Selecting from a short row: one block, all keys in registers.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/block/key_narrowing.cuh>
#include <tka/detail/cuda/block/row_gate.cuh>
#include <tka/detail/cuda/tuning/select_rows.cuh>
#include <tka/detail/cuda/work/score_row.cuh>
#include <tka/detail/shared/ordered_key.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

struct warp_counts {
  std::uint32_t above[32];
  std::uint32_t equal[32];
};

template <int Threads>
class select_from_registers {
 public:
  __device__ select_from_registers(narrow_memory& memory, warp_counts& of_warp,
                                   int candidates) noexcept
      : m_(memory), of_warp_(of_warp), narrowing_(memory, {1, 0}, candidates) {}

  /// Writes the kept keys of `run`, at most `register_keys` long; how many they are.
  __device__ std::uint32_t run(competing_run const& run, float const* scores,
                               row_state& state) noexcept {
    load(run, scores);
    narrowing_.clear(m_);
    if (threadIdx.x == 0) m_.keys = {};
    auto [low, high] = range(run);
    narrowed limit{max_dropped, 0, 0, 0, 0, 0};
    auto const every = [this](auto&& use) {
#pragma unroll
      for (int j = 0; j < each; ++j) use(key_[j]);
    };
    auto wanted = static_cast<std::uint32_t>(run.keep);
    bool found = narrowing_.narrow(low, high, wanted, every, every);
    if (!found && low > min_kept) {  // groups were too unlike
      wanted = static_cast<std::uint32_t>(run.keep);
      found = narrowing_.narrow(min_kept, high, wanted, every, every);
    }
    if (found) limit = narrowing_.settle(wanted, every);
    return write(limit, state);
  }

 private:
  static constexpr int warps = Threads / 32;
  static constexpr int each = register_keys / Threads;
  static constexpr unsigned all_lanes = 0xffffffffu;

  [[nodiscard]] __device__ static int lane() noexcept { return static_cast<int>(threadIdx.x % 32); }
  [[nodiscard]] __device__ static int warp() noexcept { return static_cast<int>(threadIdx.x / 32); }
  /// A warp has neighbouring keys, so that what it keeps is written in order.
  [[nodiscard]] __device__ static std::int32_t index(int j) noexcept {
    return warp() * 32 * each + 32 * j + lane();
  }

  __device__ void load(competing_run const& run, float const* scores) noexcept {
    float score[each];
#pragma unroll
    for (int j = 0; j < each; ++j) {
      score[j] = index(j) < run.keys ? scores[run.first + index(j)] : 0.0f;
    }
#pragma unroll
    for (int j = 0; j < each; ++j) {
      key_[j] = index(j) < run.keys ? radix_bits(to_ordered(score[j])) : 0;
    }
  }

  struct key_range {
    std::uint32_t low;
    std::uint32_t high;
  };
  /// From the smallest maximum of groups of keys to the largest: with few enough groups more keys
  /// than are kept are not below it, mostly. Lanes of a group by the share that is kept:
  /// (ln(keys / group) - 2) / group.
  [[nodiscard]] __device__ key_range range(competing_run const& run) noexcept {
    float const share = static_cast<float>(run.keep) / static_cast<float>(run.keys);
    int const lanes = each == 8 ? (share <= 0.0057f   ? 32
                                   : share <= 0.0169f ? 16
                                   : share <= 0.0445f ? 8
                                   : share <= 0.111f  ? 4
                                   : share <= 0.265f  ? 2
                                   : share <= 0.6f    ? 1
                                                      : 0)
                                : (share <= 0.0057f   ? 16
                                   : share <= 0.0169f ? 8
                                   : share <= 0.0445f ? 4
                                   : share <= 0.111f  ? 2
                                   : share <= 0.265f  ? 1
                                                      : 0);
    std::uint32_t largest = 0;
#pragma unroll
    for (int j = 0; j < each; ++j) largest = larger(largest, key_[j]);
    std::uint32_t group = largest;
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
      std::uint32_t const other = __shfl_xor_sync(all_lanes, group, step);
      if (step < lanes) group = larger(group, other);
    }
    std::uint32_t const low = __reduce_min_sync(all_lanes, group == 0 ? ~0u : group);
    std::uint32_t const high = __reduce_max_sync(all_lanes, largest);
    if (lane() == 0) {
      of_warp_.above[warp()] = low;
      of_warp_.equal[warp()] = high;
    }
    __syncthreads();
    key_range r{__reduce_min_sync(all_lanes, of_warp_.above[lane() % warps]),
                __reduce_max_sync(all_lanes, of_warp_.equal[lane() % warps])};
    r.low = lanes == 0 ? min_kept : larger(r.low, min_kept);
    r.high = larger(r.low, r.high);
    return r;
  }

  [[nodiscard]] __device__ std::uint32_t write(narrowed const& limit, row_state& state) noexcept {
    std::uint64_t last = ~std::uint64_t{0};
    bool const all_equal = limit.ties > 0 && limit.ties == limit.equal;
    bool const cuts = limit.ties < limit.equal && limit.ties > 0;
    std::uint32_t const edge = all_equal ? limit.key - 1 : limit.key;
    std::uint32_t above = 0;
    std::uint32_t equal = 0;
#pragma unroll
    for (int j = 0; j < each; ++j) above += __popc(__ballot_sync(all_lanes, key_[j] > edge));
    if (cuts) {
#pragma unroll
      for (int j = 0; j < each; ++j) equal += __popc(__ballot_sync(all_lanes, key_[j] == edge));
    }
    __syncthreads();  // the range has been read
    if (lane() == 0) {
      of_warp_.above[warp()] = above;
      of_warp_.equal[warp()] = equal;
    }
    __syncthreads();
    std::uint32_t const own_above = lane() < warps ? of_warp_.above[lane() % warps] : 0;
    std::uint32_t const own_equal = lane() < warps ? of_warp_.equal[lane() % warps] : 0;
    std::uint32_t before = __reduce_add_sync(all_lanes, lane() < warp() ? own_above : 0);
    std::uint32_t ties = __reduce_add_sync(all_lanes, lane() < warp() ? own_equal : 0);
    std::uint32_t const all = __reduce_add_sync(all_lanes, own_above);
    unsigned const lower = (1u << lane()) - 1;
    if (state.only_positions && !cuts) {
      std::int32_t* const out = state.positions + state.run.in_front;
      std::int32_t const first = state.run.first + index(0);
#pragma unroll
      for (int j = 0; j < each; ++j) {
        unsigned const sure = __ballot_sync(all_lanes, key_[j] > edge);
        if (key_[j] > edge) out[before + __popc(sure & lower)] = first + 32 * j;
        before += __popc(sure);
      }
      return all;
    }
#pragma unroll 1
    for (int j = 0; j < each; ++j) {
      std::uint32_t key = key_[0];
#pragma unroll
      for (int i = 1; i < each; ++i) key = i == j ? key_[i] : key;
      bool keeps = key > edge;
      unsigned const sure = __ballot_sync(all_lanes, keeps);
      std::uint32_t at = before + __popc(sure & lower);
      if (cuts) {
        bool const tie = key == edge;
        unsigned const same = __ballot_sync(all_lanes, tie);
        std::uint32_t const rank = ties + __popc(same & lower);
        keeps = keeps || (tie && rank < limit.ties);
        at += smaller(rank, limit.ties);
        ties += __popc(same);
      }
      if (keeps) {
        std::int32_t const local = state.run.first + index(j);
        state.put(state.run.in_front + at, local, key);
        last = smaller(last, row_state::place_in_order(local, key));
      }
      before += __popc(sure);
    }
    if (state.wants_last) state.note_last(last);
    return all + (cuts ? limit.ties : 0);
  }

  narrow_memory& m_;
  warp_counts& of_warp_;
  key_narrowing<Threads> narrowing_;
  std::uint32_t key_[each];
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
