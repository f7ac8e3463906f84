// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Rows that keep every key they see: no selection, all score rows of a unit share keys and values.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/arithmetic.hpp>
#include <tka/detail/cpu/cache_rows.hpp>
#include <tka/detail/cpu/dot_products.hpp>
#include <tka/detail/cpu/softmax.hpp>
#include <tka/detail/cpu/stage/attend.hpp>
#include <tka/detail/cpu/stage/key_tile.hpp>
#include <tka/detail/cpu/storage.hpp>
#include <tka/detail/cpu/tuning.hpp>
#include <tka/detail/cpu/unit.hpp>
#include <tka/detail/cpu/weighted_values.hpp>
#include <tka/detail/shared/ordered_key.hpp>
#include <tka/detail/shared/problem.hpp>

#include <algorithm>
#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu {

/// Attends whole units densely, with the bits that selecting and attending would give: the same
/// scores, the same steps of step_keys, the same order.
template <class Problem>
class dense_stage {
 public:
  dense_stage(plan const& p, arguments<Problem> const& a, worker_store<Problem> const& w) noexcept
      : plan_(p), args_(a), work_(w) {}

  /// False: the unit must be selected. A token keeps fewer keys than it sees, sees them with a gap
  /// or not from the first, has one of -inf or on a missing page; or lists are asked for, or a
  /// threshold is given.
  [[nodiscard]] bool run(unit_index const& u, sequence const& s) noexcept {
    if (args_.positions || args_.scores || args_.threshold_score || args_.threshold_position ||
        args_.given_threshold_score) {
      return false;
    }
    unit_ = u;
    sequence_ = s;
    std::int32_t const tokens = tokens_of<Problem>(plan_, s, u);
    for (std::int32_t i = 0; i < tokens; ++i) {
      visible_range const range = range_of<Problem>(plan_, args_, s, u.first + i);
      if (range.keep < range.keys() || range.main_begin != range.sinks_end) return false;
      if (range.first != 0 || range.drafts_begin < range.end) return false;
      ends_[i] = range.end;
    }
    std::int32_t const rows = tokens * heads_;
    for (std::int32_t r = 0; r < rows; r += tuned.rows_together) {
      if (!run_rows(r, std::min(tuned.rows_together, rows - r))) return false;
    }
    if (args_.count) put_counts(tokens);
    return true;
  }

 private:
  [[nodiscard]] std::int32_t token_of(std::int32_t row) const noexcept { return row / heads_; }
  [[nodiscard]] std::int32_t head_of(std::int32_t row) const noexcept {
    return unit_.head * heads_ + row % heads_;
  }
  [[nodiscard]] location query(std::int32_t token) const noexcept {
    return Problem::query_source::locate(args_.query, sequence_.b, unit_.first + token);
  }
  /// Keys of [first, first + count) that a row sees.
  [[nodiscard]] std::int32_t seen(std::int32_t row, std::int32_t first,
                                  std::int32_t count) const noexcept {
    return std::clamp(ends_[token_of(row)] - first, 0, count);
  }

  /// Score rows first_row .. first_row + count of the unit, from queries to outputs.
  [[nodiscard]] bool run_rows(std::int32_t first_row, std::int32_t count) noexcept {
    auto const keys = key_rows<typename Problem::cache_layout>(args_.k, args_.scales, unit_.head);
    using key = typename std::remove_const_t<decltype(keys)>::element;
    first_row_ = first_row;
    rows_ = count;
    std::int32_t end = 0;
    for (std::int32_t r = 0; r < rows_; ++r) {
      std::int32_t const token = token_of(first_row_ + r);
      location const at = query(token);
      prepare_query<key>(args_.q.at(at.outer, head_of(first_row_ + r), at.token),
                         plan_.shape.qk_dim,
                         work_.dense_query + std::int64_t{r} * plan_.shape.qk_dim);
      sums_[r] = {};
      visible_[r] = {};
      end = std::max(end, ends_[token]);
    }
    std::fill_n(work_.dense_output, std::int64_t{rows_} * plan_.shape.v_dim, 0.0f);
    for (std::int32_t first = 0; first < end; first += tile_keys) {
      tile_.locate(args_.kv, sequence_.b, plan_.shape.page_size, first,
                   std::min(tile_keys, end - first), end);
      if (tile_.missing()) return false;
      score(keys);
      for (std::int32_t r = 0; r < rows_; ++r) {
        if (!check_scores(r)) return false;
      }
      if (sums_visible<Problem>(plan_.options)) measure();
      for (std::int32_t j = 0; j < tile_.count(); j += step_keys) add(j);
    }
    for (std::int32_t r = 0; r < rows_; ++r) {
      write_output<Problem>(plan_, args_, query(token_of(first_row_ + r)), head_of(first_row_ + r),
                            sums_[r], work_.dense_output + std::int64_t{r} * plan_.shape.v_dim,
                            plan_.options.metrics == metrics::visible ? visible_ + r : nullptr);
    }
    return true;
  }

  template <class Rows>
  void score(Rows const& keys) noexcept {
    std::int32_t const reach = Rows::in_place ? tile_.reach() : tile_.count();
    row_tile<Rows> rows;
    tile_.each_run(reach, [&](std::int32_t i, std::int32_t n) {
      rows.resolve_run(keys, tile_.at(i), i, n, plan_.shape.qk_dim, work_.wide);
    });
    dot_products(work_.dense_query, rows_, rows.address, tile_.count(), reach, plan_.shape.qk_dim,
                 work_.dense_raw, tile_keys);
  }

  /// False where a score is -inf: that key is not selected.
  [[nodiscard]] bool check_scores(std::int32_t r) const noexcept {
    float* const score = work_.dense_raw + std::int64_t{r} * tile_keys;
    std::int32_t const count = seen(first_row_ + r, tile_.first(), tile_.count());
    bool none = false;
    for (std::int32_t j = 0; j < count; ++j) {
      ordered_key const key = to_ordered(score[j]);
      none |= key <= key_of_minus_infinity;
      // A list would keep the key that the score was ordered by.
      if constexpr (knows_scores<Problem>) score[j] = from_ordered(key);
    }
    return !none;
  }

  void measure() noexcept {
    logit_map const to_logit{plan_.options.scale, plan_.options.soft_cap};
    for (std::int32_t r = 0; r < rows_; ++r) {
      std::int32_t const count = seen(first_row_ + r, tile_.first(), tile_.count());
      if (count == 0) continue;
      merge(visible_[r],
            sums_of_tile(to_logit, work_.dense_raw + std::int64_t{r} * tile_keys, tile_.count(),
                         [count](std::int32_t j) { return j < count; }));
    }
  }

  /// Keys j .. j + step_keys of the tile.
  void add(std::int32_t j) noexcept {
    auto const values =
        value_rows<typename Problem::cache_layout>(args_.k, args_.v, args_.scales, unit_.head);
    using rows_type = std::remove_const_t<decltype(values)>;
    std::int32_t const count = std::min(step_keys, tile_.count() - j);
    row_tile<rows_type> rows;
    for (std::int32_t i = 0; i < count; ++i) {
      rows.resolve_run(values, tile_.at(j + i), i, 1, plan_.shape.v_dim, work_.wide);
    }
    logit_map const to_logit{plan_.options.scale, plan_.options.soft_cap};
    std::int32_t const dim = plan_.shape.v_dim;
    std::int32_t keys[tuned.rows_together];
    for (std::int32_t r = 0; r < rows_; ++r) {
      keys[r] = seen(first_row_ + r, tile_.first() + j, count);
      if (keys[r] == 0) continue;
      float* const x = work_.dense_raw + std::int64_t{r} * tile_keys + j;
      float const factor = add_step(sums_[r], to_logit, x, keys[r]);
      if (factor != 1.0f) rescale(work_.dense_output + std::int64_t{r} * dim, dim, factor);
    }
    // Rows of one token, and of all tokens but the last ones, see as many of these keys.
    for (std::int32_t r = 0; r < rows_;) {
      std::int32_t last = r + 1;
      while (last < rows_ && keys[last] == keys[r]) ++last;
      if (keys[r] > 0) {
        add_weighted_values<typename rows_type::element>(
            work_.dense_raw + std::int64_t{r} * tile_keys + j, tile_keys, last - r,
            {rows.address, keys[r], nullptr, 0}, dim, work_.dense_output + std::int64_t{r} * dim,
            dim);
      }
      r = last;
    }
  }

  void put_counts(std::int32_t tokens) const noexcept {
    std::int32_t const each = selections<Problem>(plan_.shape);
    for (std::int32_t i = 0; i < tokens; ++i) {
      location const at = query(i);
      for (std::int32_t r = 0; r < each; ++r) {
        *args_.count.at(at.outer, scope_head<Problem>(plan_.shape, unit_.head, r), at.token) =
            ends_[i];
      }
    }
  }

  plan const& plan_;
  arguments<Problem> const& args_;
  worker_store<Problem> const& work_;
  std::int32_t const heads_ = plan_.shape.group();
  unit_index unit_{};
  sequence sequence_{};
  std::int32_t first_row_ = 0;
  std::int32_t rows_ = 0;
  std::int32_t ends_[max_query_tile];
  softmax_sums sums_[tuned.rows_together];
  softmax_sums visible_[tuned.rows_together];
  key_tile<typename Problem::kv_source> tile_;
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu
