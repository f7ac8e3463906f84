// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What the CPU backend keeps in scratch: selections under way, finished lists, buffers of a
/// worker.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/arithmetic.hpp>
#include <tka/detail/cpu/radix_select.hpp>
#include <tka/detail/cpu/selection/selection_of.hpp>
#include <tka/detail/cpu/selection/selection_row.hpp>
#include <tka/detail/cpu/softmax.hpp>
#include <tka/detail/cpu/tuning.hpp>
#include <tka/detail/cpu/unit.hpp>
#include <tka/detail/shared/arena.hpp>
#include <tka/detail/shared/ordered_key.hpp>
#include <tka/detail/shared/problem.hpp>
#include <tka/plan.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu {

/// Which split of a unit's keys.
enum class part {
  first,  ///< or the only one: what the others have kept joins it
  later
};

/// Keys that a split of a unit sees, at most.
[[nodiscard]] constexpr std::int32_t keys_of_split(plan const& p) noexcept {
  std::int32_t const tiles = ceil_div(p.shape.kv_len, tile_keys);
  return ceil_div(tiles, p.schedule.splits) * tile_keys;
}

/// Selections of one unit under way, each with the forced keys that were seen.
template <class Problem>
struct selection_store {
  using selection = selection_of_t<Problem>;

  selection* selector = nullptr;         // [selections]
  std::int32_t* forced_count = nullptr;  // [selections]
  std::int32_t* forced_head = nullptr;   // [selections] how many of them are sinks
  ordered_key* forced_key = nullptr;     // [selections][forced]
  std::int32_t* forced_index = nullptr;  // [selections][forced]
  std::int32_t forced_room = 0;

  /// `fresh`: the selectors get their memory; else they have it from an earlier phase.
  static selection_store carve(arena& memory, plan const& p, part which, bool fresh) noexcept {
    selection_store s{};
    std::int32_t const count = p.schedule.query_tile * selections<Problem>(p.shape);
    s.forced_room = static_cast<std::int32_t>(
        std::min<std::int64_t>(std::int64_t{p.options.sinks} + p.options.recent, p.capacity));
    s.selector = memory.take<selection>(count);
    s.forced_count = memory.take<std::int32_t>(count);
    s.forced_head = memory.take<std::int32_t>(count);
    s.forced_key = memory.take<ordered_key>(std::int64_t{count} * s.forced_room);
    s.forced_index = memory.take<std::int32_t>(std::int64_t{count} * s.forced_room);
    if (!fresh) return s;
    auto const carve_one = [&](arena& from) {
      selection blank{};
      if (which == part::first) {
        blank.carve(from, p);
      } else {
        blank.carve_later(from, p, keys_of_split(p));
      }
      return blank;
    };
    if (s.selector == nullptr) {  // only their size is asked for
      arena one{nullptr};
      (void)carve_one(one);
      (void)memory.take<std::byte>(static_cast<std::int64_t>(one.used()) * count);
      return s;
    }
    for (std::int32_t i = 0; i < count; ++i) s.selector[i] = carve_one(memory);
    return s;
  }

  void reset(std::int32_t n, plan const& p, selection_row const& row) noexcept {
    selector[n].reset(p, row);
    forced_count[n] = 0;
    forced_head[n] = 0;
  }
  void force(std::int32_t n, ordered_key key, std::int32_t index, bool head) noexcept {
    if (key <= key_of_minus_infinity) return;
    std::int64_t const at = std::int64_t{n} * forced_room + forced_count[n];
    forced_key[at] = key;
    forced_index[at] = index;
    ++forced_count[n];
    forced_head[n] += head ? 1 : 0;
  }
  /// Adds what a later split has found to selection n.
  void absorb(std::int32_t n, selection_store const& later, radix_scratch const& scratch) noexcept {
    selector[n].absorb(later.selector[n], scratch);
    std::int64_t const from = std::int64_t{n} * forced_room;
    std::int32_t const more = later.forced_count[n];
    std::copy_n(later.forced_key + from, more, forced_key + from + forced_count[n]);
    std::copy_n(later.forced_index + from, more, forced_index + from + forced_count[n]);
    forced_count[n] += more;
    forced_head[n] += later.forced_head[n];
  }
};

/// Finished selections of one unit, ascending in local index, with the keys they were chosen by.
template <class Problem>
struct list_store {
  std::int32_t* count = nullptr;    // [selections]
  std::int32_t* index = nullptr;    // [selections][capacity]
  ordered_key* key = nullptr;       // [selections][capacity]
  softmax_sums* visible = nullptr;  // [score rows] or, split, [score rows][tiles]
  std::int32_t tiles = 1;
  bool split = false;  // each tile has sums of its own

  static list_store carve(arena& memory, plan const& p) noexcept {
    list_store s{};
    std::int32_t const lists = p.schedule.query_tile * selections<Problem>(p.shape);
    s.count = memory.take<std::int32_t>(lists);
    s.index = memory.take<std::int32_t>(std::int64_t{lists} * p.capacity);
    s.key = memory.take<ordered_key>(std::int64_t{lists} * p.capacity);
    if (sums_visible<Problem>(p.options)) {
      s.split = p.schedule.splits > 1;
      s.tiles = s.split ? ceil_div(p.shape.kv_len, tile_keys) : 1;
      s.visible =
          memory.take<softmax_sums>(std::int64_t{p.schedule.query_tile} *
                                    score_source_t<Problem>::score_heads(p.shape) * s.tiles);
    }
    return s;
  }
};

/// Buffers of one worker.
template <class Problem>
struct worker_store {
  float* query = nullptr;          // [score rows][dim]
  float* raw = nullptr;            // [score rows][tile_keys]
  float* joined = nullptr;         // [tile_keys]
  ordered_key* ordered = nullptr;  // [tile_keys]
  float* wide = nullptr;           // [tile_keys][dim] cache rows that are not read in place
  radix_scratch radix{};
  float* attend_query = nullptr;  // [attend_heads][qk_dim]
  float* logit = nullptr;         // [attend_heads][step_keys]
  float* output = nullptr;        // [attend_heads][v_dim]
  float* dense_query = nullptr;   // [rows_together][qk_dim] all three: where rows keep every key
  float* dense_raw = nullptr;     // [rows_together][tile_keys]
  float* dense_output = nullptr;  // [rows_together][v_dim]

  static worker_store carve(arena& memory, plan const& p) noexcept {
    using source = score_source_t<Problem>;
    worker_store s{};
    std::int64_t const rows = std::int64_t{p.schedule.query_tile} * source::score_heads(p.shape);
    std::int64_t const widest = std::max({p.shape.qk_dim, p.shape.v_dim, p.shape.index_dim});
    s.query = memory.take<float>(rows * source::dim(p.shape));
    s.raw = memory.take<float>(rows * tile_keys);
    s.joined = memory.take<float>(tile_keys);
    s.ordered = memory.take<ordered_key>(tile_keys);
    s.wide = memory.take<float>(tile_keys * widest);
    s.radix.histogram = memory.take<std::uint32_t>(radix_scratch::bins);
    s.radix.spare = memory.take<ordered_key>(radix_scratch::spare_room);
    s.attend_query = memory.take<float>(std::int64_t{tuned.attend_heads} * p.shape.qk_dim);
    s.logit = memory.take<float>(std::int64_t{tuned.attend_heads} * step_keys);
    s.output = memory.take<float>(std::int64_t{tuned.attend_heads} * p.shape.v_dim);
    std::int64_t const dense_rows =
        attends_densely<Problem> && p.schedule.splits == 1 ? tuned.rows_together : 0;
    s.dense_query = memory.take<float>(dense_rows * p.shape.qk_dim);
    s.dense_raw = memory.take<float>(dense_rows * tile_keys);
    s.dense_output = memory.take<float>(dense_rows * p.shape.v_dim);
    return s;
  }
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu
