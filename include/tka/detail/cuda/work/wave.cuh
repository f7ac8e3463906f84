// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Waves: the units that share scratch at one time, and each block's share of their items.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/work/schedule.cuh>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// The units that share scratch at one time, [first, last), and where their scratch begins.
struct wave {
  std::int64_t first_unit;
  std::int64_t last_unit;
  std::int64_t first_word;
};

/// How many items of a kind lie before a unit.
[[nodiscard]] __device__ inline std::int64_t items_before(schedule_table const& t, count_of kind,
                                                          std::int64_t unit) noexcept {
  if (unit >= t.at(count_of::units, t.batch)) return t.at(kind, t.batch);
  std::int32_t const b = find_sequence(t, count_of::units, unit);
  return t.at(kind, b) + (unit - t.at(count_of::units, b)) * t.per_unit(kind, b);
}

/// The wave that begins with a unit: all the units after whose scratch ends within `pool` words.
/// There is at least one, as the pool holds the largest. A warp.
[[nodiscard]] __device__ inline wave wave_from(schedule_table const& t, std::int64_t first_unit,
                                               std::int64_t pool) noexcept {
  std::int64_t const first_word = items_before(t, count_of::words, first_unit);
  std::int64_t const end = first_word + pool;
  if (end >= t.at(count_of::words, t.batch)) {
    return {first_unit, t.at(count_of::units, t.batch), first_word};
  }
  std::int32_t const b = find_sequence(t, count_of::words, end);
  std::int64_t const whole = (end - t.at(count_of::words, b)) / t.per_unit(count_of::words, b);
  return {first_unit, t.at(count_of::units, b) + whole, first_word};
}

/// This block's share of a kind's items in a wave: neighbours, so that it stays in few units.
struct share {
  std::int64_t begin;  ///< unless only totals are known
  std::int64_t end;
  std::int64_t from;  ///< where the wave's items begin
  std::int64_t all;   ///< items of the wave
  item first;
};

/// The shares of all kinds, found once a wave: each is a chain of dependent reads, and a barrier
/// over the grid empties the first-level cache. In shared memory.
struct wave_shares {
  share of[item_kinds];

  __device__ void find(schedule_table const& t, wave const& w) noexcept {
    __syncthreads();  // the last wave is done with them
    for (auto k = static_cast<int>(threadIdx.x / 32); k < item_kinds;
         k += static_cast<int>(blockDim.x / 32)) {
      auto const kind = static_cast<count_of>(k);
      std::int64_t const from = items_before(t, kind, w.first_unit);
      share const s = share_of(t, kind, from, items_before(t, kind, w.last_unit) - from);
      if (threadIdx.x % 32 == 0) of[k] = s;
    }
    __syncthreads();
  }
  /// The same for the first wave, whose totals the schedule holds, for one kind; of the others only
  /// how many items there are.
  template <count_of Kind>
  __device__ void find_first(schedule_table const& t) noexcept {
    constexpr int kind = static_cast<int>(Kind);
    if (threadIdx.x < 32) {
      share const s = share_of(t, Kind, 0, t.totals->first_wave[kind]);
      if (threadIdx.x == 0) of[kind] = s;
    } else if (int const k = static_cast<int>(threadIdx.x) - 32; k < item_kinds && k != kind) {
      of[k] = {0, 0, 0, t.totals->first_wave[k], {}};
    }
    __syncthreads();
  }
  /// Of the first wave only how many items there are.
  __device__ void find_totals(schedule_table const& t) noexcept {
    auto const k = static_cast<int>(threadIdx.x);
    if (k < item_kinds) of[k] = {0, 0, 0, t.totals->first_wave[k], {}};
    __syncthreads();
  }
  [[nodiscard]] __device__ share const& operator[](count_of kind) const noexcept {
    return of[static_cast<int>(kind)];
  }

 private:
  /// All lanes of a warp.
  [[nodiscard]] __device__ static share share_of(schedule_table const& t, count_of kind,
                                                 std::int64_t from, std::int64_t all) noexcept {
    auto const blocks = std::int64_t{gridDim.x};
    share s{
        from + all * blockIdx.x / blocks, from + all * (blockIdx.x + 1) / blocks, from, all, {}};
    if (s.begin < s.end) s.first = find_item(t, kind, s.begin);
    return s;
  }
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
