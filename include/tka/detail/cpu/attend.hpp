// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The third stage: softmax over selected keys and the sum of their values.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/cache_rows.hpp>
#include <tka/detail/cpu/dot_products.hpp>
#include <tka/detail/cpu/softmax.hpp>
#include <tka/detail/cpu/storage.hpp>
#include <tka/detail/cpu/tile.hpp>
#include <tka/detail/cpu/unit.hpp>
#include <tka/detail/cpu/weighted_values.hpp>
#include <tka/detail/shared/ordered_key.hpp>
#include <tka/detail/shared/problem.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::cpu {

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
  std::int32_t count;  ///< <= head_block
};

template <class Problem>
class attender {
 public:
  attender(plan const& p, arguments<Problem> const& a, worker_store<Problem> const& w) noexcept
      : plan_(p), args_(a), work_(w) {}

  void run(sequence const& s, std::int32_t token, head_range const& heads,
           selected_keys const& selected, softmax_sums const* visible) noexcept {
    location const query = Problem::query_source::locate(args_.query, s.b, token);
    if (selected.key == nullptr) {
      for (std::int32_t h = 0; h < heads.count; ++h) {
        using key =
            key_element<typename Problem::cache_layout, typename Problem::precision::key_type>;
        prepare_query<key>(args_.q.at(query.outer, heads.first + h, query.token),
                           plan_.shape.qk_dim,
                           work_.attend_query + std::int64_t{h} * plan_.shape.qk_dim);
      }
    }
    std::fill_n(work_.output, std::int64_t{heads.count} * plan_.shape.v_dim, 0.0f);
    auto const values =
        value_rows<typename Problem::cache_layout>(args_.k, args_.v, args_.scales, heads.kv_head);
    softmax_sums sums[head_block];
    // While one chunk is attended the values of the next are on their way.
    chunk<std::remove_const_t<decltype(values)>> chunks[2];
    std::int32_t seen = take(s, selected, 0, values, chunks[0]);
    for (int now = 0; chunks[now].count > 0; now = 1 - now) {
      seen = take(s, selected, seen, values, chunks[1 - now]);
      add(values, heads, selected, chunks[now], chunks[1 - now], sums);
    }
    for (std::int32_t h = 0; h < heads.count; ++h) {
      write(query, heads.first + h, sums[h], work_.output + std::int64_t{h} * plan_.shape.v_dim,
            visible == nullptr ? nullptr : visible + h);
    }
  }

 private:
  /// Keys attended together: where they lie, their entries of the list, and their values.
  template <class Rows>
  struct chunk {
    location at[chunk_keys];
    std::int32_t entry[chunk_keys];
    std::int32_t count;
    row_tile<Rows> values;
  };

  /// Fills a chunk with the next keys of the list that exist; returns the entry behind them.
  template <class Rows>
  [[nodiscard]] std::int32_t take(sequence const& s, selected_keys const& selected,
                                  std::int32_t from, Rows const& values,
                                  chunk<Rows>& next) const noexcept {
    next.count = 0;
    for (; from < selected.count && next.count < chunk_keys; ++from) {
      std::int32_t index = selected.index[from];
      if constexpr (!Problem::selects) {
        index = local_index(s, index);
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
           chunk<Rows>& keys, chunk<Rows> const& next, softmax_sums* sums) noexcept {
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
      float* const x = work_.logit + std::int64_t{h} * chunk_keys;
      // Behind the last key stand no logits: first something harmless, then nothing.
      std::fill(x + count, x + chunk_keys, 0.0f);
      to_logit.apply(x, chunk_keys);
      std::fill(x + count, x + chunk_keys, minus_infinity);
      float const factor = accumulate(sums[h], x, chunk_keys);
      if (factor != 1.0f) rescale(h, factor);
    }
    if constexpr (!Rows::in_place) {
      keys.values.resolve(values, keys.at, count, plan_.shape.v_dim, work_.wide);
    }
    add_weighted_values<typename Rows::element>(
        work_.logit, chunk_keys, heads.count,
        {keys.values.address, count, next.values.address, Rows::in_place ? next.count : 0},
        plan_.shape.v_dim, work_.output, plan_.shape.v_dim);
  }

  /// The local index of a position from outside; negative where it is not here.
  [[nodiscard]] std::int32_t local_index(sequence const& s, std::int32_t position) const noexcept {
    if (position < 0 || position >= s.length) {
      if (position != -1) report(args_.error, data_error::position_out_of_range);
      return -1;
    }
    auto const local = static_cast<std::int32_t>(local_below(plan_.options.shard, position));
    bool const here = local_below(plan_.options.shard, std::int64_t{position} + 1) > local;
    return here ? local : -1;
  }

  void score(head_range const& heads, location const* at, std::int32_t count) noexcept {
    auto const rows =
        key_rows<typename Problem::cache_layout>(args_.k, args_.scales, heads.kv_head);
    row_tile<std::remove_const_t<decltype(rows)>> tile;
    tile.resolve(rows, at, count, plan_.shape.qk_dim, work_.wide);
    dot_products(work_.attend_query, heads.count, tile.address, count, count, plan_.shape.qk_dim,
                 work_.logit, chunk_keys);
  }

  void rescale(std::int32_t h, float factor) noexcept {
    float* const out = work_.output + std::int64_t{h} * plan_.shape.v_dim;
    for (int d = 0; d < plan_.shape.v_dim; d += lane_count) {
      store(out + d, multiply(load(out + d), splat(factor)));
    }
  }

  void write(location query, std::int32_t head, softmax_sums const& sums, float const* output,
             softmax_sums const* visible) noexcept {
    float scale = sums.empty() ? 0.0f : 1.0f / sums.sum;
    if (args_.sink_logits != nullptr && !sums.empty()) {
      // The sink joins the denominator, referred to the larger of both maxima.
      float const sink = args_.sink_logits[head];
      float const largest = sink > sums.max ? sink : sums.max;
      float const own = exponential(sums.max - largest);
      scale = own / (sums.sum * own + exponential(sink - largest));
    }
    using output_type = typename Problem::precision::output_type;
    output_type* const o = args_.o.at(query.outer, head, query.token);
    for (std::int32_t d = 0; d < plan_.shape.v_dim; ++d) {
      o[d] = static_cast<output_type>(sums.empty() ? 0.0f : output[d] * scale);
    }
    put(args_.lse, query, head, sums.lse());
    put(args_.entropy, query, head, sums.entropy());
    if (visible == nullptr) return;
    put(args_.lse_visible, query, head, visible->lse());
    put(args_.entropy_visible, query, head, visible->entropy());
    put(args_.retained_mass, query, head,
        sums.empty() || visible->empty() ? 1.0f : std::exp(sums.lse() - visible->lse()));
  }

  static void put(tensor_view<float> const& view, location at, std::int32_t head,
                  float value) noexcept {
    if (view) *view.at(at.outer, head, at.token) = value;
  }

  plan const& plan_;
  arguments<Problem> const& args_;
  worker_store<Problem> const& work_;
};

}  // namespace tka::inline TKA_ABI::detail::cpu
