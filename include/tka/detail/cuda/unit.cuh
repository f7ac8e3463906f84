// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// How a call is cut: units of work, rows of a unit, and what a row keeps in scratch.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/block/team.cuh>
#include <tka/detail/cuda/tuning.cuh>
#include <tka/detail/cuda/warp/widen.cuh>
#include <tka/detail/shared/problem.hpp>
#include <tka/detail/shared/sequence.hpp>
#include <tka/detail/shared/visible_range.hpp>
#include <tka/plan.hpp>

#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::cuda {

template <class T>
[[nodiscard]] TKA_HOST_DEVICE constexpr T smaller(T a, T b) noexcept {
  return b < a ? b : a;
}
template <class T>
[[nodiscard]] TKA_HOST_DEVICE constexpr T larger(T a, T b) noexcept {
  return a < b ? b : a;
}
[[nodiscard]] TKA_HOST_DEVICE constexpr std::int64_t ceil_div(std::int64_t a,
                                                              std::int64_t b) noexcept {
  return (a + b - 1) / b;
}
[[nodiscard]] TKA_HOST_DEVICE constexpr std::int64_t round_up(std::int64_t a,
                                                              std::int64_t b) noexcept {
  return ceil_div(a, b) * b;
}

/// The type whose rows of q lie in shared memory while keys pass: what scores are multiplied in.
template <class Problem>
struct scored {
  using query = typename Problem::precision::query_type;
  using key = typename Problem::precision::key_type;
};
template <class Problem>
  requires(Problem::by_index)
struct scored<Problem> {
  using query = typename Problem::selection::precision::query_type;
  using key = typename Problem::selection::precision::key_type;
};

/// The cut that a plan fixes for all its sequences. A unit is one scanning head and a tile of query
/// tokens: its rows share one pass over the keys.
template <class Problem>
struct geometry {
  /// Score heads of one token in one unit before they are combined.
  std::int32_t heads;
  /// Of these, scored in one pass over the keys.
  std::int32_t head_block;
  std::int32_t head_blocks;  ///< units (or passes) for all the heads
  std::int32_t scan_heads;   ///< heads that have units of their own
  std::int32_t tokens;       ///< query tokens of a unit, at most
  std::int32_t dim;          ///< of the rows that are scored

  /// Each block of heads has its own selections, so it is a unit; else it is a pass of one unit.
  static constexpr bool heads_are_units = Problem::by_query_key && Problem::per_query_head;

  TKA_HOST_DEVICE explicit geometry(plan const& p) noexcept {
    shape const& s = p.shape;
    heads = !Problem::selects       ? 1
            : Problem::by_query_key ? s.group()
            : Problem::by_index     ? s.index_heads
                                    : 1;
    scan_heads = Problem::by_query_key && Problem::selects ? s.kv_heads
                 : Problem::by_index                       ? 1
                                                           : p.scope_heads;
    dim = Problem::by_index ? s.index_dim : s.qk_dim;
    std::int32_t const most = rows_that_fit(dim);
    head_block = smaller(heads, most);
    head_blocks = static_cast<std::int32_t>(ceil_div(heads, head_block));
    tokens = head_blocks > 1 ? 1 : larger(most / head_block, 1);
    tokens = larger(smaller(tokens, smaller(p.schedule.query_tile, s.q_len)), 1);
  }
  [[nodiscard]] TKA_HOST_DEVICE static constexpr std::int32_t rows_that_fit(
      std::int32_t dim) noexcept {
    using product = product_type_t<typename scored<Problem>::query, typename scored<Problem>::key>;
    constexpr bool full = std::is_same_v<product, float>;
    std::int32_t const row = dim * (full ? 4 : 2) + 16;
    std::int32_t const fit = query_bytes / row;
    return fit >= most_rows ? most_rows : fit >= some_rows ? some_rows : few_rows;
  }
  /// Score rows of one pass over the keys of a unit, at most.
  [[nodiscard]] TKA_HOST_DEVICE std::int32_t rows(std::int32_t q_len) const noexcept {
    return larger(smaller(tokens, q_len), 1) * head_block;
  }
  /// Units of one tile of tokens.
  [[nodiscard]] TKA_HOST_DEVICE std::int32_t units_of_tile() const noexcept {
    return scan_heads * (heads_are_units ? head_blocks : 1);
  }
  /// Selections of one token in one unit.
  [[nodiscard]] TKA_HOST_DEVICE std::int32_t selections() const noexcept {
    return heads_are_units ? head_block : 1;
  }
};

/// Sums over visible keys are kept: for metrics, or to normalise scores before combining heads.
template <class Problem>
[[nodiscard]] TKA_HOST_DEVICE constexpr bool sums_visible(options const& o) noexcept {
  return Problem::selects && Problem::by_query_key &&
         (o.metrics == metrics::visible ||
          (Problem::per_kv_group && o.combine == combine::softmax_sum));
}
/// Scores of all heads are kept until their sums are known.
template <class Problem>
[[nodiscard]] TKA_HOST_DEVICE constexpr bool keeps_raw(options const& o) noexcept {
  return Problem::selects && Problem::by_query_key && Problem::per_kv_group &&
         o.combine == combine::softmax_sum;
}

/// The selection was made by the scores of attention: they need not be computed again.
template <class Problem>
inline constexpr bool knows_scores =
    Problem::selects && Problem::by_query_key && Problem::per_query_head;

/// Query heads that attend over one selection.
template <class Problem>
[[nodiscard]] TKA_HOST_DEVICE constexpr std::int32_t heads_of_selection(shape const& s) noexcept {
  return Problem::per_query_head ? 1 : Problem::per_kv_group ? s.group() : s.q_heads;
}
/// Blocks of query heads of one key head in which they are attended; 1 where nothing is.
template <class Problem>
[[nodiscard]] TKA_HOST_DEVICE constexpr std::int32_t attend_blocks(shape const& s) noexcept {
  if (!Problem::attends || Problem::per_query_head) return 1;
  auto const blocks = static_cast<std::int32_t>(ceil_div(s.group(), attend_heads));
  return Problem::per_kv_group ? blocks : blocks * s.kv_heads;
}

/// Words that a row keeps beside its scores.
enum row_word : int {
  last_kept = 0,  ///< [2] 64 bits: order and position of the last key kept
  selected_count = 2,
  parts_done = 3,  ///< of its list, attended, for all blocks of heads
  /// [32] a line of its own: some read it while others count in the first.
  record = 32,
  row_state_words = 64
};

/// Offsets, in 4-byte words, of what one row keeps in scratch.
struct row_layout {
  std::int64_t scores = 0;  ///< [visible] ordered keys, or combined scores under way
  std::int64_t raw = 0;     ///< [heads][visible] only softmax_sum
  std::int64_t sums = 0;    ///< [score heads][tiles] softmax sums over visible keys
  std::int64_t lse = 0;     ///< [score heads] only softmax_sum
  std::int64_t state = 0;   ///< [row_state_words]
  std::int64_t index = 0;   ///< [entries] selected, as local indices
  std::int64_t key = 0;     ///< [entries] their ordered keys
  std::int64_t parts = 0;   ///< [parts][heads][v_dim + 4]
  std::int64_t words = 0;
};

/// What is the same for all rows of one sequence.
struct row_extent {
  std::int64_t visible = 0;  ///< keys that a row sees at most
  std::int32_t tiles = 0;    ///< of local keys
  std::int32_t chunks = 0;
  std::int64_t entries = 0;  ///< of a list
  std::int32_t parts = 0;    ///< of a list, at least one
};

template <class Problem>
[[nodiscard]] TKA_HOST_DEVICE row_extent extent_of(plan const& p, std::int64_t length) noexcept {
  options const& o = p.options;
  row_extent e{};
  std::int64_t const local = local_below(o.shard, length);
  e.visible = local;
  if constexpr (std::is_same_v<typename Problem::visibility, visibility::sliding_window>) {
    e.visible = smaller<std::int64_t>(local, std::int64_t{o.sinks} + larger(o.window, o.recent));
  }
  e.entries = Problem::selects ? smaller<std::int64_t>(p.capacity, e.visible) : p.capacity;
  e.tiles = static_cast<std::int32_t>(ceil_div(local, tile_keys));
  e.chunks = Problem::selects ? static_cast<std::int32_t>(ceil_div(e.visible, chunk_keys)) : 0;
  // An empty list has one part: it is where the row is finished.
  e.parts = Problem::attends
                ? static_cast<std::int32_t>(ceil_div(larger<std::int64_t>(e.entries, 1), part_keys))
                : 0;
  return e;
}

template <class Problem>
[[nodiscard]] TKA_HOST_DEVICE row_layout layout_of(plan const& p, row_extent const& e) noexcept {
  constexpr std::int64_t line = 32;
  shape const& s = p.shape;
  row_layout r{};
  auto const take = [&r](std::int64_t words) {
    std::int64_t const at = r.words;
    r.words += round_up(words, line);
    return at;
  };
  std::int64_t const score_heads = Problem::per_query_head ? 1 : s.group();
  r.state = take(row_state_words);
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

/// Teams of blocks that may select long rows at once: no more than a quarter of scratch holds.
template <class Problem>
[[nodiscard]] TKA_HOST_DEVICE constexpr std::int64_t most_teams(plan const& p) noexcept {
  shape const& s = p.shape;
  if (!Problem::selects || s.kv_len <= least_keys_of_a_block) return 0;
  std::int64_t const rows = std::int64_t{s.batch} * s.q_len * p.scope_heads;
  std::int64_t const fit = p.options.scratch_limit / (4 * std::int64_t{sizeof(team_memory)});
  // A team has two blocks or more: of a kernel that selects, or of the one of all stages.
  std::int64_t const blocks =
      larger(std::int64_t{p.multiprocessors} * p.select_blocks, std::int64_t{p.schedule.workers});
  return larger(std::int64_t{1}, smaller(fit, smaller(blocks / 2, rows)));
}

}  // namespace tka::inline TKA_ABI::detail::cuda
