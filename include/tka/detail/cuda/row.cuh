// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// One row of scratch and the query token it belongs to.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/block/team.cuh>
#include <tka/detail/cuda/schedule.cuh>
#include <tka/detail/cuda/unit.cuh>
#include <tka/detail/shared/ordered_key.hpp>
#include <tka/detail/shared/problem.hpp>
#include <tka/detail/shared/sequence.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cuda {

/// Words of all rows of a unit of one token, as long as they may be.
template <class Problem>
[[nodiscard]] constexpr std::int64_t words_of_smallest_unit(plan const& p) noexcept {
  return layout_of<Problem>(p, extent_of<Problem>(p, p.shape.kv_len)).words *
         geometry<Problem>{p}.selections();
}

/// Rows of all units, at most.
template <class Problem>
[[nodiscard]] constexpr double most_rows_of_call(plan const& p) noexcept {
  geometry<Problem> const g{p};
  // Units may be cut for fewer tokens than planned, and the last has rows behind the last token.
  return static_cast<double>(p.shape.batch) * g.units_of_tile() * g.selections() *
         (static_cast<double>(p.shape.q_len) + g.tokens - 1);
}

/// Rows of one wave, at most: all that there can be, or as many as fit if they are empty.
template <class Problem>
[[nodiscard]] constexpr std::int64_t most_rows_of_wave(plan const& p) noexcept {
  double const all = most_rows_of_call<Problem>(p);
  std::int64_t const words = larger(static_cast<std::int64_t>(p.options.scratch_limit / 4),
                                    words_of_smallest_unit<Problem>(p) + 128);
  std::int64_t const fit = words / row_state_words;
  return all < static_cast<double>(fit) ? static_cast<std::int64_t>(all) : fit;
}

/// Where each part of scratch begins, in words; the schedule is the first.
struct scratch_layout {
  std::int64_t teams;
  std::int64_t places;  ///< [rows of a wave] where each row is: lines of 32 words
  std::int64_t rows;
};
template <class Problem>
[[nodiscard]] constexpr scratch_layout scratch_layout_of(plan const& p) noexcept {
  scratch_layout l{};
  l.teams = schedule_table::words(p.shape.batch);
  l.places = l.teams + most_teams<Problem>(p) * std::int64_t{sizeof(team_memory) / 4};
  l.rows = l.places + (Problem::selects ? round_up(most_rows_of_wave<Problem>(p), 32) : 0);
  return l;
}

/// Scratch for the rows of all units, as long as they may be.
template <class Problem>
[[nodiscard]] constexpr double most_words_of_rows(plan const& p) noexcept {
  row_layout const row = layout_of<Problem>(p, extent_of<Problem>(p, p.shape.kv_len));
  return static_cast<double>(row.words) * most_rows_of_call<Problem>(p) + 32.0;
}

/// What the agents of one launch share.
template <class Problem>
struct context {
  plan const& p;
  arguments<Problem> const& a;
  geometry<Problem> const& g;
  schedule_table table;
  team_memory* teams;
  std::uint32_t* places;      ///< of the wave's rows: lines of `pool`
  std::uint32_t* pool;        ///< scratch for rows
  wave_shares const& shares;  ///< in shared memory
  bool lists;                 ///< the caller asks for something of lists
  wave now;

  /// Item n of this block's share of a kind.
  [[nodiscard]] __device__ item at(count_of kind, std::int64_t n) const noexcept {
    share const& s = shares[kind];
    return n == s.begin ? s.first : find_item(table, kind, n);
  }
  [[nodiscard]] __device__ std::uint32_t* unit_memory(std::int32_t b,
                                                      std::int64_t unit) const noexcept {
    return pool + (table.at(count_of::words, b) + unit * table.per_unit(count_of::words, b) -
                   now.first_word);
  }
  /// The number of a unit's first row among those of its wave.
  [[nodiscard]] __device__ std::int64_t first_row(std::int32_t b,
                                                  std::int64_t unit) const noexcept {
    std::int64_t const before = table.at(count_of::rows, b) +
                                unit * table.per_unit(count_of::rows, b) -
                                shares[count_of::rows].from;
    return before / attend_blocks<Problem>(p.shape);
  }
};

/// Where a unit stands.
struct unit_place {
  std::int32_t head;        ///< scanning head
  std::int32_t head_block;  ///< only where blocks of heads are units
  std::int32_t first_token;
  std::int32_t tokens;  ///< that exist
};

template <class Problem>
[[nodiscard]] __device__ __noinline__ unit_place place_of(context<Problem> const& c, std::int32_t b,
                                                          std::int64_t unit) noexcept {
  sequence_entry const& e = c.table.entries[b];
  auto const tile = static_cast<std::int32_t>(unit % e.token_tiles);
  auto const rest = static_cast<std::int32_t>(unit / e.token_tiles);
  std::int32_t const blocks = geometry<Problem>::heads_are_units ? c.g.head_blocks : 1;
  unit_place u{};
  u.head = rest / blocks;
  u.head_block = rest % blocks;
  u.first_token = tile * e.tokens;
  u.tokens = smaller(e.tokens, e.of.queries - u.first_token);
  return u;
}

/// The position in the whole sequence of a local index; the division is out of line.
[[nodiscard]] __device__ __noinline__ inline std::int64_t position_in_shards(
    shard const& s, std::int32_t local) noexcept {
  return position_of(s, local);
}
[[nodiscard]] __device__ inline std::int64_t global_position(shard const& s,
                                                             std::int32_t local) noexcept {
  return s.count == 1 ? local : position_in_shards(s, local);
}

/// Visible keys of a row, counted without the gap: compact index c is local index c, or c + gap.
struct compact_range {
  visible_range range;

  [[nodiscard]] __device__ std::int32_t gap() const noexcept {
    return range.main_begin - range.sinks_end;
  }
  [[nodiscard]] __device__ std::int32_t visible() const noexcept { return range.end - gap(); }
  [[nodiscard]] __device__ std::int32_t local(std::int32_t c) const noexcept {
    return c < range.sinks_end ? c : c + gap();
  }
  [[nodiscard]] __device__ std::int32_t compact(std::int32_t local) const noexcept {
    return local < range.sinks_end ? local : local - gap();
  }
  /// Compact indices [0, head()) and [tail(), visible()) are forced.
  [[nodiscard]] __device__ std::int32_t head() const noexcept { return range.forced_head; }
  [[nodiscard]] __device__ std::int32_t tail() const noexcept { return range.forced_tail - gap(); }
};

/// Query heads that attend together over one selection.
struct head_range {
  std::int32_t kv_head;
  std::int32_t first;         ///< over all query heads
  std::int32_t count;         ///< <= attend_heads
  std::int32_t in_selection;  ///< the first, counted within the selection
};

template <class Problem>
[[nodiscard]] __device__ head_range heads_of(context<Problem> const& c, std::int32_t scope_head,
                                             std::int32_t block) noexcept {
  std::int32_t const group = c.p.shape.group();
  if constexpr (Problem::per_query_head) return {scope_head / group, scope_head, 1, 0};
  auto const blocks = static_cast<std::int32_t>(ceil_div(group, attend_heads));
  std::int32_t const kv_head = Problem::per_kv_group ? scope_head : block / blocks;
  std::int32_t const begin = block % blocks * attend_heads;
  std::int32_t const first = kv_head * group + begin;
  return {kv_head, first, smaller(attend_heads, group - begin),
          Problem::per_kv_group ? begin : first};
}

/// One selection: a query token and a scope head, with its scratch.
template <class Problem>
struct row {
  sequence_entry const* entry;
  std::uint32_t* memory;
  std::int32_t token;       ///< of its sequence
  std::int32_t unit_head;   ///< scanning head of its unit
  std::int32_t scope_head;  ///< over all heads of the scope
  bool exists;              ///< false: behind the last token, or head, of its unit

  __device__ row(sequence_entry const* entry_, std::uint32_t* memory_, std::int32_t token_,
                 std::int32_t unit_head_, std::int32_t scope_head_, bool exists_) noexcept
      : entry(entry_),
        memory(memory_),
        token(token_),
        unit_head(unit_head_),
        scope_head(scope_head_),
        exists(exists_) {}
  /// Not inlined, like all that is done once an item: code that runs once is paid by its length.
  __device__ __noinline__ row(context<Problem> const& c, std::int32_t b, std::int64_t unit,
                              std::int32_t r) noexcept {
    entry = &c.table.entries[b];
    unit_place const u = place_of<Problem>(c, b, unit);
    memory = c.unit_memory(b, unit) + r * entry->row.words;
    std::int32_t const each = c.g.selections();
    token = u.first_token + r / each;
    unit_head = u.head;
    std::int32_t const head = u.head_block * c.g.head_block + r % each;
    exists = r / each < u.tokens && (!geometry<Problem>::heads_are_units || head < c.g.heads);
    scope_head = geometry<Problem>::heads_are_units ? u.head * c.g.heads + head : u.head;
  }

  [[nodiscard]] __device__ compact_range range(context<Problem> const& c) const noexcept {
    return {range_of<Problem>(c.p, c.a, entry->of, token)};
  }
  [[nodiscard]] __device__ location query(context<Problem> const& c) const noexcept {
    return Problem::query_source::locate(c.a.query, entry->of.b, token);
  }
  [[nodiscard]] __device__ std::uint32_t* state() const noexcept {
    return memory + entry->row.state;
  }
  [[nodiscard]] __device__ ordered_key* scores() const noexcept {
    return reinterpret_cast<ordered_key*>(memory + entry->row.scores);
  }
  [[nodiscard]] __device__ float* raw(std::int32_t head) const noexcept {
    return reinterpret_cast<float*>(memory + entry->row.raw +
                                    head * round_up(entry->extent.visible, 32));
  }
  [[nodiscard]] __device__ float* sums(std::int32_t head, std::int32_t tile) const noexcept {
    return reinterpret_cast<float*>(memory + entry->row.sums) +
           (std::int64_t{head} * entry->extent.tiles + tile) * 3;
  }
  [[nodiscard]] __device__ float* lse() const noexcept {
    return reinterpret_cast<float*>(memory + entry->row.lse);
  }
  /// Of its list's parts, how many are done, with `count` more. One thread; who is told of all of
  /// them may read what others wrote before they counted theirs.
  [[nodiscard]] __device__ std::int32_t count_parts(std::int32_t count) const noexcept {
    std::uint32_t before = 0;
    asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], %2;"
                 : "=r"(before)
                 : "l"(__cvta_generic_to_global(state() + parts_done)), "r"(count)
                 : "memory");
    return static_cast<std::int32_t>(before) + count;
  }
  /// Length of its list.
  [[nodiscard]] __device__ std::int32_t entries() const noexcept {
    return static_cast<std::int32_t>(state()[selected_count]);
  }
  [[nodiscard]] __device__ std::int32_t* index() const noexcept {
    return reinterpret_cast<std::int32_t*>(memory + entry->row.index);
  }
  [[nodiscard]] __device__ ordered_key* key() const noexcept {
    return reinterpret_cast<ordered_key*>(memory + entry->row.key);
  }
  /// Part `part` of query head `head` (counted within the selection): v_dim sums, then max, sum,
  /// weighted.
  [[nodiscard]] __device__ float* part(plan const& p, std::int32_t part,
                                       std::int32_t head) const noexcept {
    return reinterpret_cast<float*>(memory + entry->row.parts) +
           (std::int64_t{part} * heads_of_selection<Problem>(p.shape) + head) * (p.shape.v_dim + 4);
  }
};

}  // namespace tka::inline TKA_ABI::detail::cuda
