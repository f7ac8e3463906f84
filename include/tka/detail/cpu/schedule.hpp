// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// How the work of a call is cut: chosen for speed, within the scratch that it may take.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/arithmetic.hpp>
#include <tka/detail/cpu/regions.hpp>
#include <tka/detail/cpu/tuning.hpp>
#include <tka/detail/cpu/unit.hpp>
#include <tka/plan.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu {

/// A key's joined score may need sums over all keys first: then one worker sees them all.
template <class Problem>
[[nodiscard]] constexpr bool can_split(options const& o) noexcept {
  return Problem::selects && !joins_probabilities<Problem>(o);
}

/// Sizes and phases of a plan whose schedule is cut.
template <class Problem>
void settle(plan& p) noexcept {
  regions<Problem> const space{p};
  p.schedule.phases = space.waves() * phases_of_wave<Problem>(p);
  p.scratch_bytes = space.total();
}

/// `items` of equal size leave at most a quarter of the threads idle.
[[nodiscard]] constexpr bool fills(std::int64_t items, std::int64_t threads) noexcept {
  std::int64_t const rounds = (items + threads - 1) / threads;
  return items * 4 >= rounds * threads * 3;
}

/// No split has fewer tiles than it takes to pay for being one.
[[nodiscard]] constexpr std::int32_t max_splits(plan const& p, std::int32_t threads) noexcept {
  return std::min(threads, ceil_div(p.shape.kv_len, tile_keys) / tuned.min_split_tiles);
}

/// Splits of each unit where whole units leave threads idle; 1 where they cannot be had.
template <class Problem>
[[nodiscard]] std::int32_t splits_for(plan const& p, std::int32_t threads) noexcept {
  std::int64_t const units = unit_count<Problem>(p);
  std::int32_t const most = max_splits(p, threads);
  if (fills(units, threads) || !can_split<Problem>(p.options)) return 1;
  // Few units: one of them may be far longer than its bound tells, so all threads can share each.
  if (units < threads) return std::max(most, 1);
  for (std::int32_t splits = 2; splits <= most; ++splits) {
    if (fills(units * splits, threads)) return splits;
  }
  return 1;
}

/// Cuts the work of p for `threads` threads.
template <class Problem>
void choose_schedule(plan& p, std::int32_t threads) noexcept {
  using source = score_source_t<Problem>;
  schedule& s = p.schedule;
  s.workers = threads;
  s.splits = 1;
  std::int32_t const heads = source::score_heads(p.shape);
  s.query_tile = std::clamp(tuned.rows_together / heads, 1,
                            std::min(max_query_tile, std::max(p.shape.q_len, 1)));
  auto const halve = [&s] { s.query_tile = ceil_div(s.query_tile, 2); };
  while (s.query_tile > 1 && std::int64_t{s.query_tile} * heads > tuned.min_rows_together &&
         !fills(unit_count<Problem>(p), threads)) {
    halve();
  }
  s.splits = splits_for<Problem>(p, threads);
  auto const total = [&p] { return static_cast<double>(regions<Problem>{p}.total()); };
  auto const limit = static_cast<double>(p.options.scratch_limit);
  while (total() > limit && s.query_tile > 1) halve();
  if (total() > limit && s.splits == 1) {
    auto const own = total() / static_cast<double>(threads);
    // Half of the threads at work is as good as splits; fewer are not.
    std::int32_t const most = max_splits(p, threads);
    if (limit >= own * threads / 2.0 || most < 2 || !can_split<Problem>(p.options)) {
      s.workers = std::clamp(static_cast<std::int32_t>(limit / own), 1, threads);
    } else {
      s.splits = most;
    }
  }
  // Where one unit alone takes more than the limit, its splits and workers may take twice that.
  auto const too_many = [&] {
    regions<Problem> const space{p};
    auto const least = 3.0 * static_cast<double>(space.first_bytes + space.lists_bytes);
    return space.units == 1 && static_cast<double>(space.total()) > std::max(limit, least);
  };
  while (s.splits > 2 && too_many()) s.splits = ceil_div(s.splits, 2);
  while (s.splits > 1 && s.workers > 1 && too_many()) s.workers = ceil_div(s.workers, 2);
  settle<Problem>(p);
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu
