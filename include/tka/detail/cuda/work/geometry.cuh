// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// How a call is cut: units of work, rows of a unit, and what a row keeps in scratch.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/tuning/attend.cuh>
#include <tka/detail/cuda/tuning/score.cuh>
#include <tka/detail/cuda/warp/widen.cuh>
#include <tka/detail/cuda/work/math.cuh>
#include <tka/detail/shared/problem.hpp>
#include <tka/detail/shared/score/source.hpp>
#include <tka/detail/shared/sequence.hpp>
#include <tka/detail/shared/visible_range.hpp>
#include <tka/plan.hpp>

#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// What is multiplied to score: nothing where scores or positions are given.
template <class Problem, class Source = score_source_t<Problem>>
struct scored {
  using query = typename Problem::precision::query_type;
  using key = typename Problem::precision::key_type;
};
template <class Problem, class Source>
  requires(Source::by_products)
struct scored<Problem, Source> {
  using query = typename Source::query_type;
  using key = typename Source::key_type;
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
  static constexpr bool heads_are_units = score_source_t<Problem>::each_head;

  TKA_HOST_DEVICE explicit geometry(plan const& p) noexcept {
    shape const& s = p.shape;
    using source = score_source_t<Problem>;
    heads = source::score_heads(s);
    scan_heads = Problem::selects ? source::scan_heads(s) : p.scope_heads;
    dim = source::by_products ? source::dim(s) : s.qk_dim;
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
    return fit >= max_score_rows   ? max_score_rows
           : fit >= mid_score_rows ? mid_score_rows
                                   : few_score_rows;
  }
  /// Score rows of one pass over the keys of a unit, at most.
  [[nodiscard]] TKA_HOST_DEVICE std::int32_t rows(std::int32_t q_len) const noexcept {
    return larger(smaller(tokens, q_len), 1) * head_block;
  }
  /// Query heads of a key head, where the scores are theirs.
  [[nodiscard]] TKA_HOST_DEVICE std::int32_t group() const noexcept { return heads; }
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
  return score_source_t<Problem>::is_attention_score &&
         (o.metrics == metrics::visible ||
          (Problem::per_kv_group && o.combine == combine::softmax_sum));
}
/// Scores of all heads are kept until their sums are known.
template <class Problem>
[[nodiscard]] TKA_HOST_DEVICE constexpr bool keeps_raw(options const& o) noexcept {
  return score_source_t<Problem>::is_attention_score && Problem::per_kv_group &&
         o.combine == combine::softmax_sum;
}

/// The selection was made by the scores of attention: they need not be computed again.
template <class Problem>
inline constexpr bool knows_scores =
    score_source_t<Problem>::is_attention_score && score_source_t<Problem>::each_head;

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

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
