// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The schedule: what each sequence has of each kind of item, made on the device from its lengths.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/arithmetic.cuh>
#include <tka/detail/cuda/work/math.cuh>
#include <tka/detail/cuda/work/slot_layout.cuh>
#include <tka/detail/shared/problem.hpp>
#include <tka/detail/shared/sequence.hpp>
#include <tka/form.hpp>
#include <tka/options.hpp>

#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// What is counted over all units, in order. Items of a kind are shared out among the blocks.
enum class count_of : int {
  pieces,      ///< of units, some tiles of keys each
  chunks,      ///< of slots
  attends,     ///< parts of lists x blocks of heads
  slots,       ///< slots x blocks of heads
  long_slots,  ///< that several blocks select together
  units,
  words  ///< of scratch
};
inline constexpr int kinds = 7;
inline constexpr int item_kinds = 5;  ///< those whose items are shared out

/// One sequence of the schedule.
struct sequence_entry {
  sequence of;
  slot_extent extent;
  slot_layout slot;
  std::int32_t tokens;  ///< of a unit
  std::int32_t token_tiles;
  std::int64_t per_unit[kinds];  ///< how many of each kind one unit has
};

/// Tiles of keys that the tokens of one unit see if they are neighbours, at most; else this is how
/// its pieces are counted, and the last has the rest. At least one: who has the first piece of a
/// unit describes its slots.
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

/// What is known of all sequences together.
struct schedule_totals {
  std::int64_t first_wave[item_kinds];  ///< items of the first wave
  std::int64_t longest;                 ///< visible keys of a slot, at most
  std::int64_t words;                   ///< of scratch for all slots
  std::int64_t parts;                   ///< of a list; 0: not the same for all sequences
};

/// In scratch; `begin[kind][b]` counts what lies before sequence b, [batch] is the total.
template <class Totals, class Entry, class Count>
struct basic_schedule {
  Totals* totals;
  Entry* entries;  ///< [batch]
  Count* begin;    ///< [kinds][batch + 1]
  std::int32_t batch;

  [[nodiscard]] static constexpr std::int64_t words(std::int32_t batch) noexcept {
    auto const bytes = static_cast<std::int64_t>(sizeof(schedule_totals)) +
                       static_cast<std::int64_t>(sizeof(sequence_entry)) * batch +
                       std::int64_t{8} * kinds * (batch + 1);
    return round_up(bytes / 4, 32);
  }
  /// The schedule that begins at `memory`.
  [[nodiscard]] __device__ static basic_schedule at_memory(void* memory, std::int32_t n) noexcept {
    auto* const first = static_cast<Totals*>(memory);
    auto* const second = reinterpret_cast<Entry*>(first + 1);
    return {first, second, reinterpret_cast<Count*>(second + n), n};
  }
  [[nodiscard]] TKA_HOST_DEVICE Count& at(count_of kind, std::int32_t b) const noexcept {
    return begin[std::int64_t{static_cast<int>(kind)} * (batch + 1) + b];
  }
  [[nodiscard]] TKA_HOST_DEVICE std::int64_t per_unit(count_of kind,
                                                      std::int32_t b) const noexcept {
    return entries[b].per_unit[static_cast<int>(kind)];
  }
};
/// What all stages read...
using schedule_table =
    basic_schedule<schedule_totals const, sequence_entry const, std::int64_t const>;
/// ...and only the one that builds it writes.
using schedule_builder = basic_schedule<schedule_totals, sequence_entry, std::int64_t>;

[[nodiscard]] __device__ inline schedule_table table_of(schedule_builder const& b) noexcept {
  return {b.totals, b.entries, b.begin, b.batch};
}
static_assert(sizeof(sequence_entry) % 8 == 0 && sizeof(schedule_totals) % 8 == 0);

/// An item: number `rest` of unit `unit` of sequence b.
struct item {
  std::int32_t b;
  std::int64_t unit;
  std::int64_t rest;
};

/// The sequence in which item `n` of a kind lies. All lanes of the warp ask together. The table is
/// told by value: whose address is known to code that is not inlined stands on the stack.
[[nodiscard]] __device__ TKA_OUT_OF_LINE inline std::int32_t find_sequence(
    schedule_table t, count_of kind, std::int64_t n) noexcept {
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

[[nodiscard]] __device__ TKA_OUT_OF_LINE inline item find_item(schedule_table t, count_of kind,
                                                               std::int64_t n) noexcept {
  std::int32_t const b = find_sequence(t, kind, n);
  std::int64_t const inside = n - t.at(kind, b);
  std::int64_t const each = t.per_unit(kind, b);
  std::int64_t const unit = inside / each;
  return {b, unit, inside - unit * each};
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
