// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// One unit of work: a tile of query tokens of one sequence against one key head (or, with an
/// indexer, against the index keys).

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/problem.hpp>
#include <tka/detail/shared/sequence.hpp>
#include <tka/detail/shared/visible_range.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::cpu {

inline void report(std::uint32_t* word, data_error bit) noexcept {
  if (word == nullptr) return;
  std::atomic_ref<std::uint32_t>{*word}.fetch_or(static_cast<std::uint32_t>(bit),
                                                 std::memory_order_relaxed);
}

/// Sequence b of a call; what is wrong with it goes into the error word.
template <class Problem>
[[nodiscard]] sequence sequence_of(plan const& p, arguments<Problem> const& a,
                                   std::int32_t b) noexcept {
  return detail::sequence_of<Problem>(p, a, b, [&a](data_error bit) { report(a.error, bit); });
}

/// Where a unit stands in the whole: units are numbered by tile, then head, then sequence.
struct unit_index {
  std::int32_t b;
  std::int32_t head;   ///< key head; 0 with an indexer
  std::int32_t first;  ///< first query token
};

/// Heads that scan on their own: key heads, or one for an indexer; given scores have one a scope.
template <class Problem>
[[nodiscard]] constexpr std::int32_t scan_heads(shape const& s) noexcept {
  if (Problem::by_query_key || !Problem::selects) return s.kv_heads;
  return Problem::by_index ? 1 : Problem::scope_heads(s);
}

/// Score rows of one token in one unit, before heads are combined.
template <class Problem>
[[nodiscard]] constexpr std::int32_t score_rows(shape const& s) noexcept {
  return Problem::by_query_key ? s.group() : 1;
}

/// Selections of one token in one unit.
template <class Problem>
[[nodiscard]] constexpr std::int32_t selection_rows(shape const& s) noexcept {
  return Problem::by_query_key && Problem::per_query_head ? s.group() : 1;
}

/// Selection `r` of one token in a unit, counted over all heads of the scope.
template <class Problem>
[[nodiscard]] constexpr std::int32_t scope_head(shape const& s, std::int32_t unit_head,
                                                std::int32_t r) noexcept {
  return unit_head * selection_rows<Problem>(s) + r;
}

/// Sums over visible keys are kept: for metrics, or to normalise scores before combining heads.
template <class Problem>
[[nodiscard]] constexpr bool sums_visible(options const& o) noexcept {
  return Problem::by_query_key && (o.metrics == metrics::visible ||
                                   (Problem::per_kv_group && o.combine == combine::softmax_sum));
}

[[nodiscard]] constexpr std::int32_t ceil_div(std::int32_t a, std::int32_t b) noexcept {
  return a / b + (a % b != 0 ? 1 : 0);
}

template <class Problem>
[[nodiscard]] constexpr std::int64_t unit_count(plan const& p) noexcept {
  return std::int64_t{p.shape.batch} * scan_heads<Problem>(p.shape) *
         ceil_div(p.shape.q_len, p.schedule.query_tile);
}

template <class Problem>
[[nodiscard]] constexpr unit_index unit_at(plan const& p, std::int64_t number) noexcept {
  std::int32_t const tiles = ceil_div(p.shape.q_len, p.schedule.query_tile);
  std::int32_t const heads = scan_heads<Problem>(p.shape);
  auto const tile = static_cast<std::int32_t>(number % tiles);
  std::int64_t const rest = number / tiles;
  return {static_cast<std::int32_t>(rest / heads), static_cast<std::int32_t>(rest % heads),
          tile * p.schedule.query_tile};
}

}  // namespace tka::inline TKA_ABI::detail::cpu
