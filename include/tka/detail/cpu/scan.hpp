// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The first stage: scores of visible keys, tile by tile, into the row selectors.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/cache_rows.hpp>
#include <tka/detail/cpu/dot_products.hpp>
#include <tka/detail/cpu/softmax.hpp>
#include <tka/detail/cpu/storage.hpp>
#include <tka/detail/cpu/tile.hpp>
#include <tka/detail/cpu/unit.hpp>
#include <tka/detail/shared/problem.hpp>

#include <algorithm>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::cpu {

/// The lightning indexer on one tile: heads in order, so bits do not depend on blocking.
[[gnu::noinline]] inline void combine_index_heads(float const* raw, std::int64_t stride, int heads,
                                                  float const* weight, std::int64_t weight_stride,
                                                  float const* key_scale, int count,
                                                  float* out) noexcept {
  for (int i = 0; i < count; i += lane_count) {
    lanes total = splat(0.0f);
    for (int h = 0; h < heads; ++h) {
      lanes const s = rectify(load(raw + h * stride + i));
      total = multiply_add(splat(weight[h * weight_stride]), s, total);
    }
    store(out + i, multiply(total, load(key_scale + i)));
  }
}

/// max of the heads of a group; NaN passes.
[[gnu::noinline]] inline void combine_max(float const* raw, std::int64_t stride, int heads,
                                          int count, float* out) noexcept {
  for (int i = 0; i < count; ++i) {
    float best = raw[i];
    for (int h = 1; h < heads; ++h) {
      float const s = raw[h * stride + i];
      best = (s > best || s != s) ? s : best;
    }
    out[i] = best;
  }
}

/// Sum of the heads of a group, in head order.
[[gnu::noinline]] inline void combine_sum(float const* raw, std::int64_t stride, int heads,
                                          int count, float* out) noexcept {
  for (int i = 0; i < count; ++i) {
    float total = raw[i];
    for (int h = 1; h < heads; ++h) total += raw[h * stride + i];
    out[i] = total;
  }
}

/// Scans units for one worker.
template <class Problem>
class scanner {
 public:
  scanner(plan const& p, arguments<Problem> const& a, worker_store<Problem> const& w) noexcept
      : plan_(p), args_(a), work_(w) {}

  /// Scores the tiles of one split of a unit. `lists.visible` receives the sums over visible keys.
  void run(unit_index const& u, sequence const& s, std::int32_t split, row_store<Problem>& rows,
           list_store<Problem> const& lists) noexcept {
    begin(u, s, rows);
    std::int32_t const tiles = ceil_div(end_, tile_keys);
    std::int32_t const share = ceil_div(tiles, plan_.schedule.splits);
    std::int32_t const from = std::min(tiles, split * share);
    std::int32_t const to = std::min(tiles, from + share);
    if (lists.visible != nullptr) clear_visible(lists, split, from, to);
    if constexpr (Problem::per_kv_group && Problem::by_query_key) {
      if (plan_.options.combine == combine::softmax_sum) {
        for (std::int32_t t = from; t < to; ++t) scan_tile(t, rows, lists, pass::measure);
        for (std::int32_t t = from; t < to; ++t) scan_tile(t, rows, lists, pass::select);
        return;
      }
    }
    for (std::int32_t t = from; t < to; ++t) scan_tile(t, rows, lists, pass::both);
  }

  [[nodiscard]] visible_range const& range(std::int32_t i) const noexcept { return range_[i]; }
  [[nodiscard]] std::int32_t tokens() const noexcept { return tokens_; }

  static constexpr std::int32_t max_tokens = 64;

 private:
  enum class pass { measure, select, both };

  void begin(unit_index const& u, sequence const& s, row_store<Problem>& rows) noexcept {
    unit_ = u;
    sequence_ = s;
    tokens_ = std::clamp(s.queries - u.first, 0, plan_.schedule.query_tile);
    end_ = 0;
    for (std::int32_t i = 0; i < tokens_; ++i) {
      range_[i] = range_of<Problem>(plan_, args_, s, u.first + i);
      end_ = std::max(end_, range_[i].end);
      prepare_queries(i);
      for (std::int32_t r = 0; r < per_token_; ++r) {
        std::int32_t const row = i * per_token_ + r;
        selector_bounds bounds{};
        if constexpr (!Problem::is_exact) {
          bounds = buckets_for(plan_, std::min(range_[i].keep, range_[i].keys()));
        }
        rows.selector[row].reset(range_[i].keep, bounds);
        rows.forced_count[row] = 0;
        rows.forced_head[row] = 0;
      }
    }
  }

  void prepare_queries(std::int32_t i) noexcept {
    location const at = Problem::query_source::locate(args_.query, sequence_.b, unit_.first + i);
    if constexpr (Problem::by_query_key) {
      using key =
          key_element<typename Problem::cache_layout, typename Problem::precision::key_type>;
      for (std::int32_t h = 0; h < scored_; ++h) {
        prepare_query<key>(args_.q.at(at.outer, unit_.head * scored_ + h, at.token),
                           plan_.shape.qk_dim,
                           work_.query + std::int64_t{i * scored_ + h} * plan_.shape.qk_dim);
      }
    } else if constexpr (Problem::by_index) {
      using key = key_element<layout::plain, typename Problem::selection::precision::key_type>;
      for (std::int32_t h = 0; h < scored_; ++h) {
        prepare_query<key>(args_.index.q.at(at.outer, h, at.token), plan_.shape.index_dim,
                           work_.query + std::int64_t{i * scored_ + h} * plan_.shape.index_dim);
      }
    }
  }

  void clear_visible(list_store<Problem> const& lists, std::int32_t split, std::int32_t from,
                     std::int32_t to) noexcept {
    std::int32_t const rows = tokens_ * score_rows<Problem>(plan_.shape);
    for (std::int32_t r = 0; r < rows; ++r) {
      if (lists.tiles == 1) {
        lists.visible[r] = {};
      } else {
        // The last split also clears what lies behind the longest row.
        std::int32_t const stop = split + 1 == plan_.schedule.splits ? lists.tiles : to;
        for (std::int32_t t = from; t < stop; ++t) {
          lists.visible[std::int64_t{r} * lists.tiles + t] = {};
        }
      }
    }
  }

  /// Keys of the tile are visible to the token at all.
  [[nodiscard]] static bool touches(visible_range const& r, std::int32_t first,
                                    std::int32_t count) noexcept {
    return first < r.end && (first < r.sinks_end || first + count > r.main_begin);
  }

  void scan_tile(std::int32_t tile, row_store<Problem>& rows, list_store<Problem> const& lists,
                 pass what) noexcept {
    std::int32_t const first = tile * tile_keys;
    std::int32_t const count = std::min(tile_keys, end_ - first);
    bool wanted = false;
    for (std::int32_t i = 0; i < tokens_; ++i) wanted |= touches(range_[i], first, count);
    if (!wanted) return;
    if (!locate(first, count)) report(args_.error, data_error::page_out_of_range);
    if constexpr (!Problem::by_given) score(count);
    for (std::int32_t i = 0; i < tokens_; ++i) {
      if (!touches(range_[i], first, count)) continue;
      if (lists.visible != nullptr && what != pass::select) measure(i, tile, count, lists);
      if (what == pass::measure) continue;
      for (std::int32_t r = 0; r < per_token_; ++r) select(i, r, first, count, rows, lists);
    }
  }

  /// False where a page is out of range; those keys are invisible.
  bool locate(std::int32_t first, std::int32_t count) noexcept {
    first_ = first;
    located_ = std::min(count + keys_ahead, end_ - first);
    missing_ = false;
    for_each_run(located_, [&](std::int32_t i, std::int32_t n) {
      location const at =
          Problem::kv_source::locate(args_.kv, sequence_.b, first + i, plan_.shape.page_size);
      for (std::int32_t j = 0; j < n; ++j) at_[i + j] = {at.outer, at.token + j};
      missing_ |= at.outer < 0 && i < count;
    });
    return !missing_;
  }

  /// Calls function(i, n) for keys i .. i + n of the tile that lie one behind the other: those of a
  /// page, or all.
  template <class Function>
  void for_each_run(std::int32_t count, Function&& function) const noexcept {
    if constexpr (Problem::kv_source::has_pages) {
      std::int32_t const page = plan_.shape.page_size;
      std::int32_t left = page - first_ % page;
      for (std::int32_t i = 0; i < count; left = page) {
        std::int32_t const n = std::min(left, count - i);
        function(i, n);
        i += n;
      }
    } else {
      function(0, count);
    }
  }

  void score(std::int32_t count) noexcept {
    std::int32_t const rows = tokens_ * scored_;
    if constexpr (Problem::by_query_key) {
      auto const source =
          key_rows<typename Problem::cache_layout>(args_.k, args_.scales, unit_.head);
      multiply(source, rows, plan_.shape.qk_dim, count);
    } else {
      using selection = typename Problem::selection;
      using key = typename selection::precision::key_type;
      if constexpr (std::is_same_v<typename selection::cache_layout, index_layout::page_132>) {
        multiply(index_page_rows{args_.index.k, plan_.shape.page_size}, rows, plan_.shape.index_dim,
                 count);
      } else if constexpr (sizeof(key) == 1) {
        multiply(scaled_rows<key>{args_.index.k, {}, 0}, rows, plan_.shape.index_dim, count);
      } else {
        multiply(plain_rows<key>{args_.index.k, 0}, rows, plan_.shape.index_dim, count);
      }
    }
  }

  template <class Rows>
  void multiply(Rows const& source, std::int32_t rows, std::int32_t dim,
                std::int32_t count) noexcept {
    row_tile<Rows> tile;
    std::int32_t const reach = Rows::in_place ? located_ : count;
    for_each_run(reach, [&](std::int32_t i, std::int32_t n) {
      tile.resolve_run(source, at_[i], i, n, dim, work_.wide);
    });
    dot_products(work_.query, rows, tile.address, count, reach, dim, work_.raw, tile_keys);
  }

  [[nodiscard]] bool is_visible(visible_range const& r, std::int32_t index,
                                std::int32_t in_tile) const noexcept {
    return r.visible(index) && at_[in_tile].outer >= 0;
  }
  /// No key of the tile needs a look of its own.
  [[nodiscard]] bool all_compete(visible_range const& r, std::int32_t first,
                                 std::int32_t count) const noexcept {
    return !missing_ && first >= r.main_begin && first + count <= r.end && first >= r.forced_head &&
           first + count <= r.forced_tail;
  }

  void measure(std::int32_t i, std::int32_t tile, std::int32_t count,
               list_store<Problem> const& lists) noexcept {
    alignas(64) float logit[tile_keys];
    logit_map const to_logit{plan_.options.scale, plan_.options.soft_cap};
    for (std::int32_t h = 0; h < score_rows<Problem>(plan_.shape); ++h) {
      std::int32_t const row = i * scored_ + h;
      std::copy_n(work_.raw + std::int64_t{row} * tile_keys, count, logit);
      std::fill(logit + count, logit + tile_keys, minus_infinity);
      to_logit.apply(logit, tile_keys);
      for (std::int32_t j = 0; j < tile_keys; ++j) {
        if (j >= count || !is_visible(range_[i], tile * tile_keys + j, j)) {
          logit[j] = minus_infinity;
        }
      }
      softmax_sums part{};
      (void)accumulate(part, logit, tile_keys);
      if (lists.tiles == 1) {
        merge(lists.visible[row], part);
      } else {
        lists.visible[std::int64_t{row} * lists.tiles + tile] = part;
      }
    }
  }

  void select(std::int32_t i, std::int32_t r, std::int32_t first, std::int32_t count,
              row_store<Problem>& rows, list_store<Problem> const& lists) noexcept {
    float const* const score = selection_score(i, r, first, count, lists);
    for (std::int32_t j = 0; j < count; ++j) work_.ordered[j] = to_ordered(score[j]);
    std::int32_t const row = i * per_token_ + r;
    visible_range const& range = range_[i];
    if (!all_compete(range, first, count)) {
      for (std::int32_t j = 0; j < count; ++j) {
        std::int32_t const index = first + j;
        bool const visible = is_visible(range, index, j);
        if (visible && range.forced(index)) {
          rows.force(row, work_.ordered[j], index, index < range.forced_head);
        }
        if (!visible || range.forced(index)) work_.ordered[j] = key_of_nothing;
      }
    }
    // Behind the forced keys: a threshold does not describe those.
    if (args_.given_threshold_score) apply_threshold(i, r, first, count);
    rows.selector[row].push_tile(work_.ordered, count, first, work_.radix);
  }

  [[nodiscard]] float const* selection_score(std::int32_t i, std::int32_t r, std::int32_t first,
                                             std::int32_t count,
                                             list_store<Problem> const& lists) noexcept {
    float const* const raw = work_.raw + std::int64_t{i} * scored_ * tile_keys;
    if constexpr (Problem::by_given) {
      location const at = Problem::query_source::locate(args_.query, sequence_.b, unit_.first + i);
      return args_.index.scores.at(at.outer, unit_.head, at.token) + first;
    } else if constexpr (Problem::by_index) {
      combine_index(i, raw, count);
      return work_.combined;
    } else if constexpr (Problem::per_query_head) {
      return raw + std::int64_t{r} * tile_keys;
    } else {
      switch (plan_.options.combine) {
        case combine::max: combine_max(raw, tile_keys, scored_, count, work_.combined); break;
        case combine::sum: combine_sum(raw, tile_keys, scored_, count, work_.combined); break;
        case combine::softmax_sum: combine_softmax(i, raw, count, lists); break;
      }
      return work_.combined;
    }
  }

  void combine_index(std::int32_t i, float const* raw, std::int32_t count) noexcept {
    alignas(64) float scale[tile_keys];
    std::fill_n(scale, tile_keys, 1.0f);
    if constexpr (Problem::by_index) {
      for (std::int32_t j = 0; j < count; ++j) {
        if (at_[j].outer >= 0) scale[j] = index_scale(at_[j]);
      }
      location const at = Problem::query_source::locate(args_.query, sequence_.b, unit_.first + i);
      combine_index_heads(raw, tile_keys, scored_, args_.index.weights.at(at.outer, 0, at.token),
                          args_.index.weights.head, scale, count, work_.combined);
    }
  }

  [[nodiscard]] float index_scale(location at) const noexcept {
    using selection = typename Problem::selection;
    if constexpr (std::is_same_v<typename selection::cache_layout, index_layout::page_132>) {
      return index_page_rows{args_.index.k, plan_.shape.page_size}.scale(at, plan_.shape.index_dim);
    } else {
      return args_.index.k_scales ? *args_.index.k_scales.at(at.outer, 0, at.token) : 1.0f;
    }
  }

  /// Sum of the heads' probabilities; a key that every head excludes stays excluded.
  void combine_softmax(std::int32_t i, float const* raw, std::int32_t count,
                       list_store<Problem> const& lists) noexcept {
    alignas(64) float logit[tile_keys];
    logit_map const to_logit{plan_.options.scale, plan_.options.soft_cap};
    std::fill_n(work_.combined, count, minus_infinity);
    for (std::int32_t h = 0; h < scored_; ++h) {
      float const lse = lists.visible[i * scored_ + h].lse();
      std::copy_n(raw + std::int64_t{h} * tile_keys, count, logit);
      std::fill(logit + count, logit + tile_keys, minus_infinity);
      to_logit.apply(logit, tile_keys);
      for (std::int32_t j = 0; j < count; ++j) {
        if (raw[std::int64_t{h} * tile_keys + j] == minus_infinity) continue;
        float const p = exponential(logit[j] - lse);
        work_.combined[j] = work_.combined[j] == minus_infinity ? p : work_.combined[j] + p;
      }
    }
  }

  /// Keys behind a threshold from outside do not compete: smaller score, or equal and later.
  void apply_threshold(std::int32_t i, std::int32_t r, std::int32_t first,
                       std::int32_t count) noexcept {
    location const at = Problem::query_source::locate(args_.query, sequence_.b, unit_.first + i);
    std::int32_t const head = scope_head<Problem>(plan_.shape, unit_.head, r);
    ordered_key const key = to_ordered(*args_.given_threshold_score.at(at.outer, head, at.token));
    std::int64_t const last = *args_.given_threshold_position.at(at.outer, head, at.token);
    for (std::int32_t j = 0; j < count; ++j) {
      bool const later = position_of(plan_.options.shard, first + j) > last;
      if (work_.ordered[j] < key || (work_.ordered[j] == key && later)) {
        work_.ordered[j] = key_of_nothing;
      }
    }
  }

  plan const& plan_;
  arguments<Problem> const& args_;
  worker_store<Problem> const& work_;
  std::int32_t const per_token_ = selection_rows<Problem>(plan_.shape);
  std::int32_t const scored_ =
      Problem::by_index ? plan_.shape.index_heads : score_rows<Problem>(plan_.shape);
  unit_index unit_{};
  sequence sequence_{};
  std::int32_t tokens_ = 0;
  std::int32_t end_ = 0;
  bool missing_ = false;
  visible_range range_[max_tokens];
  std::int32_t first_ = 0;
  std::int32_t located_ = 0;
  location at_[tile_keys + keys_ahead];
};

}  // namespace tka::inline TKA_ABI::detail::cpu
