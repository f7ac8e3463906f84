// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The third stage: softmax over selected keys and the sum of their values.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/arithmetic.hpp>
#include <tka/detail/cpu/cache_rows.hpp>
#include <tka/detail/cpu/dot_products.hpp>
#include <tka/detail/cpu/softmax.hpp>
#include <tka/detail/cpu/storage.hpp>
#include <tka/detail/cpu/tuning.hpp>
#include <tka/detail/cpu/unit.hpp>
#include <tka/detail/cpu/weighted_values.hpp>
#include <tka/detail/shared/local_index.hpp>
#include <tka/detail/shared/ordered_key.hpp>
#include <tka/detail/shared/output_row.hpp>
#include <tka/detail/shared/problem.hpp>

#include <algorithm>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu {

/// Selected keys of one query token: local indices, any order; `key` gives their scores where the
/// selection was made by them (one query head then), else they are computed again.
struct selected_keys {
  std::int32_t const* index = nullptr;
  ordered_key const* key = nullptr;
  std::int32_t count = 0;
};

/// Query heads first..first + count of one token, all with one key head and one selection.
struct head_range {
  std::int32_t kv_head;
  std::int32_t first;
  std::int32_t count;  ///< <= attend_heads
};

/// Sums of values referred to another maximum.
inline void rescale(float* out, std::int32_t dim, float factor) noexcept {
  for (std::int32_t d = 0; d < dim; d += lane_count) {
    store(out + d, multiply(load(out + d), splat(factor)));
  }
}

/// What one query head of a row gives: o from its sums of values, and the metrics asked for.
template <class Problem>
void write_output(plan const& p, arguments<Problem> const& a, location query, std::int32_t head,
                  softmax_sums const& sums, float const* values,
                  softmax_sums const* visible) noexcept {
  float const scale = output_scale(sums, a.sink_logits, head);
  using output_type = typename Problem::precision::output_type;
  output_type* const o = a.o.at(query.outer, head, query.token);
  for (std::int32_t d = 0; d < p.shape.v_dim; ++d) {
    o[d] = static_cast<output_type>(sums.empty() ? 0.0f : values[d] * scale);
  }
  put_metrics(a, p.options, query, head, sums);
  if (visible != nullptr) put_visible_metrics(a, p.options, query, head, sums, *visible);
}

template <class Problem>
class attend_stage {
 public:
  attend_stage(plan const& p, arguments<Problem> const& a, worker_store<Problem> const& w) noexcept
      : plan_(p), args_(a), work_(w) {}

  void run(sequence const& s, std::int32_t token, head_range const& heads,
           selected_keys const& selected, softmax_sums const* visible) noexcept {
    location const query = Problem::query_source::locate(args_.query, s.b, token);
    if (selected.key == nullptr) {
      for (std::int32_t h = 0; h < heads.count; ++h) {
        using key = typename decltype(keys_of(heads))::element;
        prepare_query<key>(args_.q.at(query.outer, heads.first + h, query.token),
                           plan_.shape.qk_dim,
                           work_.attend_query + std::int64_t{h} * plan_.shape.qk_dim);
      }
    }
    std::fill_n(work_.output, std::int64_t{heads.count} * plan_.shape.v_dim, 0.0f);
    auto const values =
        value_rows<typename Problem::cache_layout>(args_.k, args_.v, args_.scales, heads.kv_head);
    softmax_sums sums[tuned.attend_heads];
    // While one step is attended the values of the next are on their way.
    step<std::remove_const_t<decltype(values)>> steps[2];
    std::int32_t seen = take(s, selected, 0, values, steps[0]);
    for (int now = 0; steps[now].count > 0; now = 1 - now) {
      seen = take(s, selected, seen, values, steps[1 - now]);
      add(values, heads, selected, steps[now], steps[1 - now], sums);
    }
    for (std::int32_t h = 0; h < heads.count; ++h) {
      write_output<Problem>(plan_, args_, query, heads.first + h, sums[h],
                            work_.output + std::int64_t{h} * plan_.shape.v_dim,
                            visible == nullptr ? nullptr : visible + h);
    }
  }

 private:
  /// Keys attended together: where they lie, their entries of the list, and their values.
  template <class Rows>
  struct step {
    location at[step_keys];
    std::int32_t entry[step_keys];
    std::int32_t count;
    row_tile<Rows> values;
  };

  /// Fills a step with the next keys of the list that exist; returns the entry after them.
  template <class Rows>
  [[nodiscard]] std::int32_t take(sequence const& s, selected_keys const& selected,
                                  std::int32_t from, Rows const& values,
                                  step<Rows>& next) const noexcept {
    next.count = 0;
    for (; from < selected.count && next.count < step_keys; ++from) {
      std::int32_t index = selected.index[from];
      if constexpr (!Problem::selects) {
        index = local_index_of_entry(plan_.options.shard, s.length, index,
                                     [this](data_error bit) { report(args_.error, bit); });
        if (index < 0) continue;
      }
      location const at = Problem::kv_source::locate(args_.kv, s.b, index, plan_.shape.page_size);
      if (at.outer < 0) {
        report(args_.error, data_error::page_out_of_range);
        continue;
      }
      next.at[next.count] = at;
      next.entry[next.count] = from;
      ++next.count;
    }
    if constexpr (Rows::in_place) next.values.resolve(values, next.at, next.count, 0, nullptr);
    return from;
  }

  template <class Rows>
  void add(Rows const& values, head_range const& heads, selected_keys const& selected,
           step<Rows>& keys, step<Rows> const& next, softmax_sums* sums) noexcept {
    std::int32_t const count = keys.count;
    if (selected.key != nullptr) {
      for (std::int32_t i = 0; i < count; ++i) {
        work_.logit[i] = from_ordered(selected.key[keys.entry[i]]);
      }
    } else {
      score(heads, keys.at, count);
    }
    logit_map const to_logit{plan_.options.scale, plan_.options.soft_cap};
    for (std::int32_t h = 0; h < heads.count; ++h) {
      float* const x = work_.logit + std::int64_t{h} * step_keys;
      float const factor = add_step(sums[h], to_logit, x, count);
      if (factor != 1.0f) {
        rescale(work_.output + std::int64_t{h} * plan_.shape.v_dim, plan_.shape.v_dim, factor);
      }
    }
    if constexpr (!Rows::in_place) {
      keys.values.resolve(values, keys.at, count, plan_.shape.v_dim, work_.wide);
    }
    add_weighted_values<typename Rows::element>(
        work_.logit, step_keys, heads.count,
        {keys.values.address, count, next.values.address, Rows::in_place ? next.count : 0},
        plan_.shape.v_dim, work_.output, plan_.shape.v_dim);
  }

  [[nodiscard]] auto keys_of(head_range const& heads) const noexcept {
    return key_rows<typename Problem::cache_layout>(args_.k, args_.scales, heads.kv_head);
  }

  void score(head_range const& heads, location const* at, std::int32_t count) noexcept {
    auto const rows = keys_of(heads);
    row_tile<std::remove_const_t<decltype(rows)>> tile;
    tile.resolve(rows, at, count, plan_.shape.qk_dim, work_.wide);
    dot_products(work_.attend_query, heads.count, tile.address, count, count, plan_.shape.qk_dim,
                 work_.logit, step_keys);
  }

  plan const& plan_;
  arguments<Problem> const& args_;
  worker_store<Problem> const& work_;
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu
