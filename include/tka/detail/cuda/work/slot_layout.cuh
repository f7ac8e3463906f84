// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What a slot, the scratch of one selection, holds, and where.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/arithmetic.cuh>
#include <tka/detail/cuda/tuning/select.cuh>
#include <tka/detail/cuda/work/geometry.cuh>
#include <tka/detail/cuda/work/math.cuh>
#include <tka/detail/shared/list_entry.hpp>
#include <tka/detail/shared/ordered_key.hpp>
#include <tka/detail/shared/visible_range.hpp>
#include <tka/plan.hpp>

#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// The last key kept in the order, as one number that blocks may take the least of: a smaller one
/// is a smaller key, or an equal one at a larger position.
struct packed_last_kept {
  static constexpr std::uint64_t none = ~std::uint64_t{0};
  std::uint64_t bits;

  [[nodiscard]] TKA_HOST_DEVICE static constexpr std::uint64_t pack(ordered_key key,
                                                                    std::int32_t local) noexcept {
    return std::uint64_t{radix_bits(key)} << 32 | (0x7fffffffu - static_cast<std::uint32_t>(local));
  }
  [[nodiscard]] TKA_HOST_DEVICE constexpr last_kept unpacked() const noexcept {
    if (bits == none) return {};
    return {.key = key_of_radix_bits(static_cast<std::uint32_t>(bits >> 32)),
            .index = static_cast<std::int32_t>(0x7fffffffu - static_cast<std::uint32_t>(bits))};
  }
};

/// What is known of a selection under way; the first line of its slot.
struct slot_state {
  packed_last_kept last_kept;
  std::uint32_t selected_count;  ///< entries of its list
  std::uint32_t parts_done;      ///< of its list, attended, for all blocks of heads
  std::uint32_t unused[28];
};
static_assert(sizeof(slot_state) == 128);

/// The second line holds the slot's record: some read it while others count in the first.
inline constexpr int slot_record_at = 32;
inline constexpr int slot_state_words = 64;

/// Offsets, in 4-byte words, of what a slot keeps in scratch.
struct slot_layout {
  std::int64_t scores = 0;  ///< [visible] ordered keys, or combined scores under way
  std::int64_t raw = 0;     ///< [heads][visible] only softmax_sum
  std::int64_t sums = 0;    ///< [score heads][tiles] softmax sums over visible keys
  std::int64_t lse = 0;     ///< [score heads] only softmax_sum
  std::int64_t state = 0;   ///< [slot_state_words]
  std::int64_t index = 0;   ///< [entries] selected, as local indices
  std::int64_t key = 0;     ///< [entries] their ordered keys
  std::int64_t parts = 0;   ///< [parts][heads][v_dim + 4]
  std::int64_t words = 0;
};

/// What is the same for all slots of one sequence.
struct slot_extent {
  std::int64_t visible = 0;  ///< keys that a slot sees at most
  std::int32_t tiles = 0;    ///< of local keys
  std::int32_t chunks = 0;
  std::int64_t entries = 0;  ///< of a list
  std::int32_t parts = 0;    ///< of a list, at least one
};

template <class Problem>
[[nodiscard]] TKA_HOST_DEVICE slot_extent extent_of(plan const& p, std::int64_t length) noexcept {
  options const& o = p.options;
  slot_extent e{};
  std::int64_t const local = local_below(o.shard, length);
  e.visible = local;
  if constexpr (std::is_same_v<typename Problem::visibility, visibility::sliding_window>) {
    e.visible = smaller<std::int64_t>(local, std::int64_t{o.sinks} + larger(o.window, o.recent));
  }
  e.entries = Problem::selects ? smaller<std::int64_t>(p.capacity, e.visible) : p.capacity;
  e.tiles = static_cast<std::int32_t>(ceil_div(local, tile_keys));
  e.chunks = Problem::selects ? static_cast<std::int32_t>(ceil_div(e.visible, chunk_keys)) : 0;
  // An empty list has one part: it is where the slot is finished.
  e.parts = Problem::attends
                ? static_cast<std::int32_t>(ceil_div(larger<std::int64_t>(e.entries, 1), part_keys))
                : 0;
  return e;
}

template <class Problem>
[[nodiscard]] TKA_HOST_DEVICE slot_layout layout_of(plan const& p, slot_extent const& e) noexcept {
  constexpr std::int64_t line = 32;
  shape const& s = p.shape;
  slot_layout r{};
  auto const take = [&r](std::int64_t words) {
    std::int64_t const at = r.words;
    r.words += round_up(words, line);
    return at;
  };
  std::int64_t const score_heads = Problem::per_query_head ? 1 : s.group();
  r.state = take(slot_state_words);
  if (Problem::selects) {
    r.scores = take(e.visible);
    if (keeps_raw<Problem>(p.options)) {
      r.raw = take(score_heads * round_up(e.visible, line));
      r.lse = take(score_heads);
    }
    if (sums_visible<Problem>(p.options)) r.sums = take(score_heads * e.tiles * 3);
  }
  if (Problem::attends) {
    r.index = take(e.entries);
    if (Problem::selects) r.key = take(e.entries);
    r.parts = take(std::int64_t{e.parts} * heads_of_selection<Problem>(s) * (s.v_dim + 4));
  }
  return r;
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
