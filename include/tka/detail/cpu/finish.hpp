// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The second stage: from row selectors to lists of selected keys, and out to the caller.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/storage.hpp>
#include <tka/detail/cpu/unit.hpp>
#include <tka/detail/shared/problem.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>

namespace tka::inline TKA_ABI::detail::cpu {

/// The last of the competing keys that row `row` keeps: with it the set can be told by threshold.
struct last_kept {
  ordered_key key = key_of_nan;
  std::int32_t index = -1;
};

/// Writes list `row` of a unit: sinks, then the largest of the others, then the recent ones;
/// ascending, since forced keys lie before and behind those that compete.
template <class Problem>
[[nodiscard]] last_kept finish_row(std::int32_t row, std::int32_t keep, row_store<Problem>& rows,
                                   list_store<Problem> const& lists, std::int32_t capacity,
                                   radix_scratch const& scratch) noexcept {
  std::int32_t const forced = rows.forced_count[row];
  std::int32_t const head = rows.forced_head[row];
  std::int64_t const from = std::int64_t{row} * rows.forced_room;
  std::int32_t* const index = lists.index + std::int64_t{row} * capacity;
  ordered_key* const key = lists.key + std::int64_t{row} * capacity;

  std::copy_n(rows.forced_index + from, head, index);
  std::copy_n(rows.forced_key + from, head, key);
  auto& selector = rows.selector[row];
  std::int32_t const free = selector.finish(keep - forced, scratch);
  std::copy_n(selector.index(), free, index + head);
  std::copy_n(selector.key(), free, key + head);
  std::copy_n(rows.forced_index + from + head, forced - head, index + head + free);
  std::copy_n(rows.forced_key + from + head, forced - head, key + head + free);
  lists.count[row] = forced + free;

  last_kept last{};
  for (std::int32_t i = head; i < head + free; ++i) {
    if (key[i] <= last.key) last = {key[i], index[i]};
  }
  return last;
}

/// Writes what the caller asked to see of selection `row`: positions, scores, count, threshold.
template <class Problem>
void emit_row(plan const& p, arguments<Problem> const& a, sequence const& s, std::int32_t token,
              std::int32_t head, std::int32_t row, list_store<Problem> const& lists,
              last_kept const& last) noexcept {
  location const at = Problem::query_source::locate(a.query, s.b, token);
  std::int32_t const count = lists.count[row];
  std::int32_t const* const index = lists.index + std::int64_t{row} * p.capacity;
  ordered_key const* const key = lists.key + std::int64_t{row} * p.capacity;
  if (a.positions) {
    std::int32_t* const out = a.positions.at(at.outer, head, at.token);
    for (std::int32_t i = 0; i < count; ++i) {
      out[i] = static_cast<std::int32_t>(position_of(p.options.shard, index[i]));
    }
    std::fill(out + count, out + p.capacity, -1);
  }
  if (a.scores) {
    float* const out = a.scores.at(at.outer, head, at.token);
    for (std::int32_t i = 0; i < count; ++i) out[i] = from_ordered(key[i]);
    std::fill(out + count, out + p.capacity, -std::numeric_limits<float>::infinity());
  }
  if (a.count) *a.count.at(at.outer, head, at.token) = count;
  if (a.threshold_score) {
    *a.threshold_score.at(at.outer, head, at.token) = from_ordered(last.key);
  }
  if (a.threshold_position) {
    *a.threshold_position.at(at.outer, head, at.token) =
        last.index < 0 ? -1 : static_cast<std::int32_t>(position_of(p.options.shard, last.index));
  }
}

/// Finishes and emits all selections of a unit.
template <class Problem>
void finish_unit(plan const& p, arguments<Problem> const& a, unit_index const& u, sequence const& s,
                 row_store<Problem>& rows, list_store<Problem> const& lists,
                 radix_scratch const& scratch) noexcept {
  std::int32_t const per_token = selection_rows<Problem>(p.shape);
  std::int32_t const tokens = std::clamp(s.queries - u.first, 0, p.schedule.query_tile);
  for (std::int32_t i = 0; i < tokens; ++i) {
    std::int32_t const keep = range_of<Problem>(p, a, s, u.first + i).keep;
    for (std::int32_t r = 0; r < per_token; ++r) {
      std::int32_t const row = i * per_token + r;
      last_kept const last = finish_row<Problem>(row, keep, rows, lists, p.capacity, scratch);
      emit_row<Problem>(p, a, s, u.first + i, scope_head<Problem>(p.shape, u.head, r), row, lists,
                        last);
    }
  }
}

/// Adds what a later split has found to the rows of an earlier one.
template <class Problem>
void absorb_rows(row_store<Problem>& rows, row_store<Problem> const& later, std::int32_t count,
                 radix_scratch const& scratch) noexcept {
  for (std::int32_t r = 0; r < count; ++r) {
    rows.selector[r].absorb(later.selector[r], scratch);
    std::int64_t const from = std::int64_t{r} * rows.forced_room;
    std::copy_n(later.forced_key + from, later.forced_count[r],
                rows.forced_key + from + rows.forced_count[r]);
    std::copy_n(later.forced_index + from, later.forced_count[r],
                rows.forced_index + from + rows.forced_count[r]);
    rows.forced_count[r] += later.forced_count[r];
    rows.forced_head[r] += later.forced_head[r];
  }
}

}  // namespace tka::inline TKA_ABI::detail::cpu
