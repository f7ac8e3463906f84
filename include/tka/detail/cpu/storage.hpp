// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What the CPU backend keeps in scratch: row selectors, finished lists, buffers of a worker.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/bucketed_row.hpp>
#include <tka/detail/cpu/exact_row.hpp>
#include <tka/detail/cpu/softmax.hpp>
#include <tka/detail/cpu/tile.hpp>
#include <tka/detail/cpu/unit.hpp>
#include <tka/detail/shared/arena.hpp>
#include <tka/detail/shared/problem.hpp>
#include <tka/select/bucketed.hpp>
#include <tka/select/exact_radix.hpp>

#include <algorithm>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::cpu {

template <class Selector>
struct row_of;  // no CPU row exists for this selector
template <>
struct row_of<exact_radix> {
  using type = exact_row;
};
template <>
struct row_of<bucketed> {
  using type = bucketed_row;
};

/// The buckets of a row that keeps k keys.
[[nodiscard]] inline selector_bounds buckets_for(plan const& p, std::int32_t k) noexcept {
  bucketing const& given = p.options.bucketing;
  if (given.buckets > 0) return {.buckets = given.buckets, .per_bucket = given.per_bucket};
  return {.buckets = p.bucket_rule.buckets(k), .per_bucket = p.bucket_rule.per_bucket};
}

/// Selection of one unit under way: a selector a row, and the forced keys that were seen.
template <class Problem>
struct row_store {
  using row = typename row_of<typename Problem::selector>::type;

  row* selector = nullptr;               // [rows]
  std::int32_t* forced_count = nullptr;  // [rows]
  std::int32_t* forced_head = nullptr;   // [rows] how many of them are sinks
  ordered_key* forced_key = nullptr;     // [rows][forced]
  std::int32_t* forced_index = nullptr;  // [rows][forced]
  std::int32_t forced_room = 0;

  /// `fresh`: the selectors get their memory; else they have it from an earlier phase.
  static row_store carve(arena& memory, plan const& p, bool fresh) noexcept {
    row_store s{};
    std::int32_t const rows = p.schedule.query_tile * selection_rows<Problem>(p.shape);
    s.forced_room = std::min(p.options.sinks + p.options.recent, p.capacity);
    s.selector = memory.take<row>(rows);
    s.forced_count = memory.take<std::int32_t>(rows);
    s.forced_head = memory.take<std::int32_t>(rows);
    s.forced_key = memory.take<ordered_key>(std::int64_t{rows} * s.forced_room);
    s.forced_index = memory.take<std::int32_t>(std::int64_t{rows} * s.forced_room);
    if (!fresh) return s;
    selector_bounds bounds{};
    if constexpr (!Problem::is_exact) {
      bounds = buckets_for(p, p.capacity);
    }
    bounds.capacity = p.capacity;
    bounds.kv_len = p.shape.kv_len;
    for (std::int32_t i = 0; i < rows; ++i) {
      row blank{};
      blank.carve(memory, bounds);
      if (s.selector != nullptr) s.selector[i] = blank;
    }
    return s;
  }

  void force(std::int32_t r, ordered_key key, std::int32_t index, bool head) noexcept {
    if (key <= key_of_minus_infinity) return;
    std::int64_t const at = std::int64_t{r} * forced_room + forced_count[r];
    forced_key[at] = key;
    forced_index[at] = index;
    ++forced_count[r];
    forced_head[r] += head ? 1 : 0;
  }
};

/// Finished selections of one unit, ascending in local index, with the keys they were chosen by.
template <class Problem>
struct list_store {
  std::int32_t* count = nullptr;    // [rows]
  std::int32_t* index = nullptr;    // [rows][capacity]
  ordered_key* key = nullptr;       // [rows][capacity]
  softmax_sums* visible = nullptr;  // [score rows] or, split, [score rows][tiles]
  std::int32_t tiles = 1;

  static list_store carve(arena& memory, plan const& p) noexcept {
    list_store s{};
    std::int32_t const rows = p.schedule.query_tile * selection_rows<Problem>(p.shape);
    s.count = memory.take<std::int32_t>(rows);
    s.index = memory.take<std::int32_t>(std::int64_t{rows} * p.capacity);
    s.key = memory.take<ordered_key>(std::int64_t{rows} * p.capacity);
    if (sums_visible<Problem>(p.options)) {
      s.tiles = p.schedule.splits > 1 ? ceil_div(p.shape.kv_len, tile_keys) : 1;
      s.visible = memory.take<softmax_sums>(std::int64_t{p.schedule.query_tile} *
                                            score_rows<Problem>(p.shape) * s.tiles);
    }
    return s;
  }
};

/// Query heads attended together when they share a selection.
inline constexpr std::int32_t head_block = 16;

/// Buffers of one worker.
template <class Problem>
struct worker_store {
  float* query = nullptr;          // [scan rows][dim]
  float* raw = nullptr;            // [scan rows][tile_keys]
  float* combined = nullptr;       // [tile_keys]
  ordered_key* ordered = nullptr;  // [tile_keys]
  float* wide = nullptr;           // [tile_keys][dim] rows that are not read in place
  radix_scratch radix{};
  float* attend_query = nullptr;  // [head_block][qk_dim]
  float* logit = nullptr;         // [head_block][chunk_keys]
  float* output = nullptr;        // [head_block][v_dim]

  static std::int32_t scan_rows(plan const& p) noexcept {
    return p.schedule.query_tile *
           (Problem::by_index ? p.shape.index_heads : score_rows<Problem>(p.shape));
  }
  static worker_store carve(arena& memory, plan const& p) noexcept {
    worker_store s{};
    std::int64_t const rows = scan_rows(p);
    std::int64_t const scan_dim = Problem::by_index ? p.shape.index_dim : p.shape.qk_dim;
    std::int64_t const widest = std::max({p.shape.qk_dim, p.shape.v_dim, p.shape.index_dim});
    s.query = memory.take<float>(rows * scan_dim);
    s.raw = memory.take<float>(rows * tile_keys);
    s.combined = memory.take<float>(tile_keys);
    s.ordered = memory.take<ordered_key>(tile_keys);
    s.wide = memory.take<float>(tile_keys * widest);
    s.radix.histogram = memory.take<std::uint32_t>(radix_scratch::bins);
    s.radix.spare = memory.take<ordered_key>(radix_scratch::spare_room);
    s.attend_query = memory.take<float>(std::int64_t{head_block} * p.shape.qk_dim);
    s.logit = memory.take<float>(std::int64_t{head_block} * chunk_keys);
    s.output = memory.take<float>(std::int64_t{head_block} * p.shape.v_dim);
    return s;
  }
};

}  // namespace tka::inline TKA_ABI::detail::cpu
