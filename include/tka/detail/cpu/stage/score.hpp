// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The first stage: scores of visible keys, tile by tile, into the selections of a unit.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/arithmetic.hpp>
#include <tka/detail/cpu/cache_rows.hpp>
#include <tka/detail/cpu/dot_products.hpp>
#include <tka/detail/cpu/softmax.hpp>
#include <tka/detail/cpu/stage/join_heads.hpp>
#include <tka/detail/cpu/stage/key_tile.hpp>
#include <tka/detail/cpu/storage.hpp>
#include <tka/detail/cpu/tuning.hpp>
#include <tka/detail/cpu/unit.hpp>
#include <tka/detail/shared/ordered_key.hpp>
#include <tka/detail/shared/problem.hpp>
#include <tka/detail/shared/score/source.hpp>

#include <algorithm>
#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu {

/// Scores units for one worker.
template <class Problem>
class score_stage {
  using source = score_source_t<Problem>;

 public:
  score_stage(plan const& p, arguments<Problem> const& a, worker_store<Problem> const& w) noexcept
      : plan_(p), args_(a), work_(w) {}

  /// Scores the tiles of one split of a unit. `lists.visible` receives the sums over visible keys.
  void run(unit_index const& u, sequence const& s, std::int32_t split,
           selection_store<Problem>& selected, list_store<Problem> const& lists) noexcept {
    begin(u, s, selected);
    std::int32_t const tiles = ceil_div(end_, tile_keys);
    std::int32_t const share = ceil_div(tiles, plan_.schedule.splits);
    std::int32_t const from = std::min(tiles, split * share);
    std::int32_t const to = std::min(tiles, from + share);
    if (lists.visible != nullptr) clear_visible(lists, split, from, to);
    if (joins_probabilities<Problem>(plan_.options)) {
      for (std::int32_t t = from; t < to; ++t) take_tile(t, selected, lists, pass::measure);
      for (std::int32_t t = from; t < to; ++t) take_tile(t, selected, lists, pass::select);
    } else {
      for (std::int32_t t = from; t < to; ++t) take_tile(t, selected, lists, pass::both);
    }
  }

 private:
  enum class pass { measure, select, both };

  void begin(unit_index const& u, sequence const& s, selection_store<Problem>& selected) noexcept {
    unit_ = u;
    sequence_ = s;
    tokens_ = tokens_of<Problem>(plan_, s, u);
    end_ = 0;
    for (std::int32_t i = 0; i < tokens_; ++i) {
      range_[i] = range_of<Problem>(plan_, args_, s, u.first + i);
      end_ = std::max(end_, range_[i].end);
      if constexpr (source::by_products) prepare_queries(i);
      for (std::int32_t r = 0; r < each_; ++r) {
        selected.reset(i * each_ + r, plan_,
                       {.keep = range_[i].keep,
                        .keys = range_[i].keys(),
                        .query_position = position_of_query<Problem>(args_, s, u.first + i),
                        .scope_head = scope_head<Problem>(plan_.shape, u.head, r)});
      }
    }
  }

  [[nodiscard]] location query(std::int32_t i) const noexcept {
    return Problem::query_source::locate(args_.query, sequence_.b, unit_.first + i);
  }

  void prepare_queries(std::int32_t i) noexcept {
    using key = typename decltype(scanned_rows<source>(args_, plan_.shape, 0))::element;
    std::int32_t const dim = source::dim(plan_.shape);
    for (std::int32_t h = 0; h < heads_; ++h) {
      prepare_query<key>(source::query_row(args_, plan_.shape, query(i), unit_.head, h), dim,
                         work_.query + std::int64_t{i * heads_ + h} * dim);
    }
  }

  void clear_visible(list_store<Problem> const& lists, std::int32_t split, std::int32_t from,
                     std::int32_t to) noexcept {
    for (std::int32_t r = 0; r < tokens_ * heads_; ++r) {
      if (!lists.split) {
        lists.visible[r] = {};
      } else {
        // The last split also clears what lies after the longest row.
        std::int32_t const stop = split + 1 == plan_.schedule.splits ? lists.tiles : to;
        for (std::int32_t t = from; t < stop; ++t) {
          lists.visible[std::int64_t{r} * lists.tiles + t] = {};
        }
      }
    }
  }

  void take_tile(std::int32_t tile, selection_store<Problem>& selected,
                 list_store<Problem> const& lists, pass what) noexcept {
    std::int32_t const first = tile * tile_keys;
    std::int32_t const count = std::min(tile_keys, end_ - first);
    bool wanted = false;
    for (std::int32_t i = 0; i < tokens_; ++i) wanted |= range_[i].touches(first, count);
    if (!wanted) return;
    keys_.locate(args_.kv, sequence_.b, plan_.shape.page_size, first, count, end_);
    if (keys_.missing()) report(args_.error, data_error::page_out_of_range);
    if constexpr (source::by_products) multiply();
    for (std::int32_t i = 0; i < tokens_; ++i) {
      if (!range_[i].touches(first, count)) continue;
      if (lists.visible != nullptr && what != pass::select) measure(i, tile, lists);
      if (what == pass::measure) continue;
      for (std::int32_t r = 0; r < each_; ++r) select(i, r, selected, lists);
    }
  }

  /// Dot products of all score rows and the keys of the tile.
  void multiply() noexcept {
    auto const rows = scanned_rows<source>(args_, plan_.shape, unit_.head);
    using rows_type = std::remove_const_t<decltype(rows)>;
    std::int32_t const dim = source::dim(plan_.shape);
    std::int32_t const reach = rows_type::in_place ? keys_.reach() : keys_.count();
    row_tile<rows_type> tile;
    keys_.each_run(reach, [&](std::int32_t i, std::int32_t n) {
      tile.resolve_run(rows, keys_.at(i), i, n, dim, work_.wide);
    });
    dot_products(work_.query, tokens_ * heads_, tile.address, keys_.count(), reach, dim, work_.raw,
                 tile_keys);
  }

  [[nodiscard]] bool is_visible(visible_range const& r, std::int32_t in_tile) const noexcept {
    return r.visible(keys_.first() + in_tile) && keys_.there(in_tile);
  }
  /// No key of the tile needs a look of its own.
  [[nodiscard]] bool all_compete(visible_range const& r) const noexcept {
    std::int32_t const first = keys_.first();
    std::int32_t const last = first + keys_.count();
    return !keys_.missing() && r.all_visible(first, keys_.count()) && first >= r.forced_head &&
           last <= r.forced_tail;
  }

  /// Softmax sums of the visible keys of this tile, for each score row of a token.
  void measure(std::int32_t i, std::int32_t tile, list_store<Problem> const& lists) noexcept {
    logit_map const to_logit{plan_.options.scale, plan_.options.soft_cap};
    for (std::int32_t h = 0; h < heads_; ++h) {
      std::int32_t const row = i * heads_ + h;
      softmax_sums const part =
          sums_of_tile(to_logit, work_.raw + std::int64_t{row} * tile_keys, keys_.count(),
                       [&](std::int32_t j) { return is_visible(range_[i], j); });
      if (!lists.split) {
        merge(lists.visible[row], part);
      } else {
        lists.visible[std::int64_t{row} * lists.tiles + tile] = part;
      }
    }
  }

  void select(std::int32_t i, std::int32_t r, selection_store<Problem>& selected,
              list_store<Problem> const& lists) noexcept {
    std::int32_t const first = keys_.first();
    std::int32_t const count = keys_.count();
    float const* const score = selection_score(i, r, lists);
    for (std::int32_t j = 0; j < count; ++j) work_.ordered[j] = to_ordered(score[j]);
    std::int32_t const n = i * each_ + r;
    visible_range const& range = range_[i];
    if (!all_compete(range)) {
      for (std::int32_t j = 0; j < count; ++j) {
        std::int32_t const index = first + j;
        bool const visible = is_visible(range, j);
        if (visible && range.forced(index)) {
          selected.force(n, work_.ordered[j], index, index < range.forced_head);
        }
        if (!visible || range.forced(index)) work_.ordered[j] = key_of_nothing;
      }
    }
    // After the forced keys: a threshold does not describe those.
    if (args_.given_threshold_score) apply_threshold(i, r);
    selected.selector[n].push_tile(work_.ordered, count, first, work_.radix);
  }

  /// The scores that selection r of a token goes by.
  [[nodiscard]] float const* selection_score(std::int32_t i, std::int32_t r,
                                             list_store<Problem> const& lists) noexcept {
    if constexpr (!source::by_products) {
      auto const* const given = source::score_row(args_, query(i), unit_.head) + keys_.first();
      if constexpr (std::is_same_v<decltype(given), float const* const>) {
        return given;
      } else {  // nothing else is scored into `raw`
        float* const wide = work_.raw + std::int64_t{i} * heads_ * tile_keys;
        for (std::int32_t j = 0; j < keys_.count(); ++j) wide[j] = static_cast<float>(given[j]);
        return wide;
      }
    } else {
      float const* const raw = work_.raw + std::int64_t{i} * heads_ * tile_keys;
      if constexpr (source::each_head) {
        return raw + std::int64_t{r} * tile_keys;
      } else if (joins_probabilities<Problem>(plan_.options)) {
        join_probabilities({plan_.options.scale, plan_.options.soft_cap}, raw, heads_,
                           lists.visible + std::int64_t{i} * heads_, keys_.count(), work_.joined);
      } else {
        alignas(64) float factor[tile_keys];
        if constexpr (source::has_key_factor) find_factors(factor);
        join_heads<source>(plan_.options, args_, query(i), raw, heads_, factor, keys_.count(),
                           work_.joined);
      }
      return work_.joined;
    }
  }

  void find_factors(float* factor) const noexcept {
    std::fill_n(factor, tile_keys, 1.0f);
    for (std::int32_t j = 0; j < keys_.count(); ++j) {
      if (keys_.there(j)) factor[j] = source::key_factor(args_, plan_.shape, keys_.at(j));
    }
  }

  /// Keys after a threshold from outside do not compete: smaller score, or equal and later.
  void apply_threshold(std::int32_t i, std::int32_t r) noexcept {
    location const at = query(i);
    std::int32_t const head = scope_head<Problem>(plan_.shape, unit_.head, r);
    ordered_key const key = to_ordered(*args_.given_threshold_score.at(at.outer, head, at.token));
    std::int64_t const last = *args_.given_threshold_position.at(at.outer, head, at.token);
    for (std::int32_t j = 0; j < keys_.count(); ++j) {
      bool const later = position_of(plan_.options.shard, keys_.first() + j) > last;
      if (work_.ordered[j] < key || (work_.ordered[j] == key && later)) {
        work_.ordered[j] = key_of_nothing;
      }
    }
  }

  plan const& plan_;
  arguments<Problem> const& args_;
  worker_store<Problem> const& work_;
  std::int32_t const each_ = selections<Problem>(plan_.shape);  ///< of a token
  std::int32_t const heads_ = source::score_heads(plan_.shape);
  unit_index unit_{};
  sequence sequence_{};
  std::int32_t tokens_ = 0;
  std::int32_t end_ = 0;
  visible_range range_[max_query_tile];
  key_tile<typename Problem::kv_source> keys_;
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu
