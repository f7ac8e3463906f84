// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The schedule of a call, made on the device from the real lengths: where each sequence's units
/// and items begin, and which of them share scratch at a time.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/unit.cuh>
#include <tka/detail/shared/problem.hpp>
#include <tka/detail/shared/sequence.hpp>
#include <tka/form.hpp>
#include <tka/options.hpp>

#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::cuda {

/// What is counted over all units, in order. Items of a kind are shared out among the blocks.
enum class count_of : int {
  pieces,     ///< of units, some tiles of keys each
  chunks,     ///< chunks of rows
  attends,    ///< parts of lists x blocks of heads
  rows,       ///< rows x blocks of heads
  long_rows,  ///< rows that several blocks select together
  units,
  words  ///< of scratch
};
inline constexpr int kinds = 7;
inline constexpr int item_kinds = 5;  ///< those whose items are shared out

/// One sequence of the schedule.
struct sequence_entry {
  sequence of;
  row_extent extent;
  row_layout row;
  std::int32_t tokens;  ///< of a unit
  std::int32_t token_tiles;
  std::int64_t per_unit[kinds];  ///< how many of each kind one unit has
};

/// Tiles of keys that the tokens of one unit see if they are neighbours, at most; else this is how
/// its pieces are counted, and the last has the rest. At least one: who has the first piece of a
/// unit describes its rows.
template <class Problem>
[[nodiscard]] __device__ std::int32_t tiles_of_unit(options const& o,
                                                    sequence_entry const& e) noexcept {
  std::int64_t tiles = e.extent.tiles;
  if constexpr (std::is_same_v<typename Problem::visibility, visibility::sliding_window>) {
    // Sinks, and the windows of neighbouring tokens, which may begin inside a tile.
    std::int64_t const windows = std::int64_t{larger(o.window, o.recent)} + e.tokens - 1;
    tiles = smaller(tiles, ceil_div(o.sinks, tile_keys) + ceil_div(windows, tile_keys) + 1);
  }
  return static_cast<std::int32_t>(larger<std::int64_t>(tiles, 1));
}

/// How blocks are cut into teams for the long rows of a wave.
struct team_cut {
  std::uint32_t size;  ///< blocks of a team
  std::uint32_t teams;
};

/// What is known of all sequences together.
struct schedule_totals {
  std::int64_t first_wave[item_kinds];  ///< items of the first wave
  std::int64_t longest;                 ///< visible keys of a row, at most
  std::int64_t words;                   ///< of scratch for all rows
  std::int64_t parts;                   ///< of a list; 0: not the same for all sequences
  team_cut cut;                         ///< of the wave under way, from when it is scanned
};

/// In scratch; `begin[kind][b]` counts what lies before sequence b, [batch] is the total.
struct schedule_table {
  schedule_totals* totals;
  sequence_entry* entries;  ///< [batch]
  std::int64_t* begin;      ///< [kinds][batch + 1]
  std::int32_t batch;

  [[nodiscard]] static constexpr std::int64_t words(std::int32_t batch) noexcept {
    auto const bytes = static_cast<std::int64_t>(sizeof(schedule_totals)) +
                       static_cast<std::int64_t>(sizeof(sequence_entry)) * batch +
                       std::int64_t{8} * kinds * (batch + 1);
    return round_up(bytes / 4, 32);
  }
  __device__ schedule_table(void* memory, std::int32_t n) noexcept : batch(n) {
    totals = static_cast<schedule_totals*>(memory);
    entries = reinterpret_cast<sequence_entry*>(totals + 1);
    begin = reinterpret_cast<std::int64_t*>(entries + n);
  }
  [[nodiscard]] TKA_HOST_DEVICE std::int64_t& at(count_of kind, std::int32_t b) const noexcept {
    return begin[std::int64_t{static_cast<int>(kind)} * (batch + 1) + b];
  }
  [[nodiscard]] TKA_HOST_DEVICE std::int64_t per_unit(count_of kind,
                                                      std::int32_t b) const noexcept {
    return entries[b].per_unit[static_cast<int>(kind)];
  }
};
static_assert(sizeof(sequence_entry) % 8 == 0 && sizeof(schedule_totals) % 8 == 0);

/// An item: number `rest` of unit `unit` of sequence b.
struct item {
  std::int32_t b;
  std::int64_t unit;
  std::int64_t rest;
};

/// The sequence in which item `n` of a kind lies. All lanes of the warp ask together. The table is
/// told by value: whose address is known to code that is not inlined stands on the stack.
[[nodiscard]] __device__ __noinline__ inline std::int32_t find_sequence(schedule_table t,
                                                                        count_of kind,
                                                                        std::int64_t n) noexcept {
  // Each step looks at 32 places: the last whose begin is <= n.
  auto const lane = static_cast<std::int32_t>(threadIdx.x % 32);
  std::int32_t low = 0;
  std::int32_t span = t.batch;
  while (span > 1) {
    std::int32_t const step = (span + 31) / 32;
    std::int32_t const at = low + lane * step;
    bool const before = at < low + span && t.at(kind, at) <= n;
    unsigned const found = __ballot_sync(0xffffffffu, before);
    std::int32_t const last = 31 - __clz(static_cast<int>(found));
    std::int32_t const end = low + span;
    low += last * step;
    span = smaller(step, end - low);
  }
  return low;
}

[[nodiscard]] __device__ __noinline__ inline item find_item(schedule_table t, count_of kind,
                                                            std::int64_t n) noexcept {
  std::int32_t const b = find_sequence(t, kind, n);
  std::int64_t const inside = n - t.at(kind, b);
  std::int64_t const each = t.per_unit(kind, b);
  std::int64_t const unit = inside / each;
  return {b, unit, inside - unit * each};
}

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

/// The wave that begins with a unit: all the units behind whose scratch ends within `pool` words.
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

}  // namespace tka::inline TKA_ABI::detail::cuda
