// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// One unit of work: a tile of query tokens of one sequence against one key head (or, with an
/// indexer, against the index keys).

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/problem.hpp>
#include <tka/detail/shared/score/source.hpp>
#include <tka/detail/shared/sequence.hpp>
#include <tka/detail/shared/visible_range.hpp>

#include <algorithm>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu {

inline void report(std::uint32_t* word, data_error bit) noexcept {
  if (word == nullptr) return;
  // Not std::atomic_ref, which libc++ has from 19 on.
  __atomic_fetch_or(word, static_cast<std::uint32_t>(bit), __ATOMIC_RELAXED);
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

/// Selections of one token in one unit.
template <class Problem>
[[nodiscard]] constexpr std::int32_t selections(shape const& s) noexcept {
  using source = score_source_t<Problem>;
  return source::each_head ? source::score_heads(s) : 1;
}

/// Selection `r` of one token in a unit, counted over all heads of the scope.
template <class Problem>
[[nodiscard]] constexpr std::int32_t scope_head(shape const& s, std::int32_t unit_head,
                                                std::int32_t r) noexcept {
  return unit_head * selections<Problem>(s) + r;
}

/// Heads are joined by their attention probabilities: sums over all keys come first.
template <class Problem>
[[nodiscard]] constexpr bool joins_probabilities(options const& o) noexcept {
  using source = score_source_t<Problem>;
  return source::is_attention_score && !source::each_head && o.combine == combine::softmax_sum;
}

/// The selection was made by the scores of attention: they need not be computed again.
template <class Problem>
inline constexpr bool knows_scores =
    score_source_t<Problem>::is_attention_score && score_source_t<Problem>::each_head;

/// Rows that keep every key they see need no selection: scores of attention, and a selector that
/// keeps all of few keys.
template <class Problem>
inline constexpr bool attends_densely = Problem::attends && Problem::selects && Problem::is_exact &&
                                        score_source_t<Problem>::is_attention_score;

/// Sums over visible keys are kept: for metrics, or to normalise scores before combining heads.
template <class Problem>
[[nodiscard]] constexpr bool sums_visible(options const& o) noexcept {
  return score_source_t<Problem>::is_attention_score &&
         (o.metrics == metrics::visible || joins_probabilities<Problem>(o));
}

/// Query tokens of a unit; the last one of a sequence has fewer.
template <class Problem>
[[nodiscard]] constexpr std::int32_t tokens_of(plan const& p, sequence const& s,
                                               unit_index const& u) noexcept {
  return std::clamp(s.queries - u.first, 0, p.schedule.query_tile);
}

[[nodiscard]] constexpr std::int32_t ceil_div(std::int32_t a, std::int32_t b) noexcept {
  return a / b + (a % b != 0 ? 1 : 0);
}

template <class Problem>
[[nodiscard]] constexpr std::int64_t unit_count(plan const& p) noexcept {
  return std::int64_t{p.shape.batch} * score_source_t<Problem>::scan_heads(p.shape) *
         ceil_div(p.shape.q_len, p.schedule.query_tile);
}

template <class Problem>
[[nodiscard]] constexpr unit_index unit_at(plan const& p, std::int64_t number) noexcept {
  std::int32_t const tiles = ceil_div(p.shape.q_len, p.schedule.query_tile);
  std::int32_t const heads = score_source_t<Problem>::scan_heads(p.shape);
  auto const tile = static_cast<std::int32_t>(number % tiles);
  std::int64_t const rest = number / tiles;
  return {static_cast<std::int32_t>(rest / heads), static_cast<std::int32_t>(rest % heads),
          tile * p.schedule.query_tile};
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu
