// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Gradients of attention, one query token at a time: probabilities are made again from lse, and
/// with P and dP = dO . V each key gives
///     dS = P * (dP - dO . O) * d logit / d score,  dQ += dS K,  dK += dS Q,  dV += P dO.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/arithmetic.hpp>
#include <tka/detail/cpu/dot_products.hpp>
#include <tka/detail/cpu/lanes.hpp>
#include <tka/detail/cpu/softmax.hpp>
#include <tka/detail/cpu/stage/join_heads.hpp>
#include <tka/detail/cpu/training/outer_products.hpp>
#include <tka/detail/cpu/training/row_keys.hpp>
#include <tka/detail/cpu/training/training_row.hpp>
#include <tka/detail/cpu/weighted_values.hpp>
#include <tka/detail/shared/arena.hpp>
#include <tka/detail/shared/problem.hpp>
#include <tka/detail/shared/score/query_key.hpp>
#include <tka/detail/shared/sequence.hpp>
#include <tka/plan.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu {

/// For one head, `count` lanes in place: score becomes dS, and product, which is dP, becomes P.
/// Not inlined: every pass over a pair gives the same bits.
[[gnu::noinline]] inline void differentiate_softmax(logit_map const& map, softmax_row const& row,
                                                    float* score, float* product,
                                                    int count) noexcept {
  for (int i = 0; i < count; i += lane_count) {
    lanes logit = multiply(load(score + i), splat(map.scale));
    lanes slope = splat(map.scale);
    if (map.soft_cap > 0.0f) {
      lanes const bent = hyperbolic_tangent(multiply(logit, splat(1.0f / map.soft_cap)));
      logit = multiply(splat(map.soft_cap), bent);
      slope = multiply(slope, subtract(splat(1.0f), multiply(bent, bent)));
    }
    lanes const p = exponential(subtract(logit, splat(row.lse)));
    lanes const change = subtract(load(product + i), splat(row.delta));
    store(score + i, multiply(multiply(p, change), slope));
    store(product + i, p);
  }
}

template <class Problem>
class backward_stage {
  using precision = typename Problem::precision;
  using query_type = typename precision::query_type;
  using key_type = typename precision::key_type;
  using value_type = typename precision::value_type;
  using output_type = typename precision::output_type;
  using gradients = typename Problem::gradients;

 public:
  /// Heads whose keys are summed apart.
  [[nodiscard]] static std::int32_t key_heads(shape const& s) noexcept { return s.kv_heads; }
  /// Floats that are summed for one key: dK, then dV.
  [[nodiscard]] static std::int64_t key_floats(shape const& s) noexcept {
    return std::int64_t{s.qk_dim} + s.v_dim;
  }
  /// Floats that one query token and key head leave for later passes: dO . O of its heads.
  [[nodiscard]] static std::int64_t row_floats(shape const& s) noexcept { return s.group(); }

  backward_stage(plan const& p, arguments<Problem> const& a) noexcept
      : plan_(p), args_(a), keys_(p, a) {}

  void carve(arena& memory) noexcept {
    shape const& s = plan_.shape;
    std::int64_t const heads = Problem::per_query_head ? 1 : s.group();
    keys_.carve(memory, Problem::per_query_head ? s.group() : 1);
    if constexpr (Problem::per_query_head) {
      scan_query_ = memory.take<float>(std::int64_t{s.group()} * s.qk_dim);
    }
    query_ = memory.take<float>(heads * s.qk_dim);
    plain_query_ = memory.take<float>(heads * s.qk_dim);
    out_ = memory.take<float>(heads * s.v_dim);
    plain_out_ = memory.take<float>(heads * s.v_dim);
    query_sum_ = memory.take<float>(heads * s.qk_dim);
    score_ = memory.take<float>(heads * step_keys);
    product_ = memory.take<float>(heads * step_keys);
    raw_ = memory.take<float>(std::int64_t{s.group()} * tile_keys);
    row_ = memory.take<softmax_row>(heads);
  }

  /// The heads of one token and key head. `sums` [span keys][key_floats]; `kept` [row_floats].
  void run(training_row const& row, wants what, key_span span, float* sums, float* kept) noexcept {
    std::int32_t const group = plan_.shape.group();
    std::int32_t const first = row.head * group;
    if constexpr (Problem::per_query_head) {
      found_ = find_together(row, first, span);
      for (std::int32_t h = 0; h < group; ++h) {
        heads_ = {.first = first + h, .count = 1, .scope_head = first + h};
        run_heads(row, what, span, sums, kept + h);
      }
    } else {
      heads_ = {.first = first, .count = group, .scope_head = Problem::per_kv_group ? row.head : 0};
      run_heads(row, what, span, sums, kept);
    }
  }

  /// The finished sums of one key.
  void write(location key, std::int32_t head, float const* sums) const noexcept {
    shape const& s = plan_.shape;
    if (args_.dk) narrow(sums, s.qk_dim, args_.dk.at(key.outer, head, key.token));
    if (args_.dv) narrow(sums + s.qk_dim, s.v_dim, args_.dv.at(key.outer, head, key.token));
  }

  /// After all rows: dL / d sink = - sum over rows of p_sink * (dO . O). `kept_of(b, head, token)`.
  template <class Kept>
  void finish(std::int32_t worker, std::int32_t workers, Kept&& kept_of) const noexcept {
    if (args_.d_sink_logits == nullptr) return;
    for (std::int32_t h = worker; h < plan_.shape.q_heads; h += workers) {
      double sum = 0.0;
      for (std::int32_t b = 0; b < plan_.shape.batch; ++b) {
        sequence const s = sequence_of<Problem>(plan_, args_, b);
        for (std::int32_t i = 0; i < s.queries; ++i) {
          location const at = Problem::query_source::locate(args_.query, b, i);
          float const lse = natural_lse(plan_.options, *args_.lse.at(at.outer, h, at.token));
          if (lse == minus_infinity) continue;
          float const sink = args_.sink_logits[h];
          float const delta = kept_of(b, h / plan_.shape.group(), i)[h % plan_.shape.group()];
          sum -= static_cast<double>(std::exp(sink - joined_lse(lse, sink)) * delta);
        }
      }
      args_.d_sink_logits[h] = static_cast<float>(sum);
    }
  }

 private:
  struct head_set {
    std::int32_t first;
    std::int32_t count;
    std::int32_t scope_head;
  };

  [[nodiscard]] static float joined_lse(float lse, float sink) noexcept {
    float const largest = sink > lse ? sink : lse;
    return largest + std::log(std::exp(lse - largest) + std::exp(sink - largest));
  }

  void run_heads(training_row const& row, wants what, key_span span, float* sums,
                 float* kept) noexcept {
    if (!begin(row, what, kept)) return;
    shape const& s = plan_.shape;
    std::int64_t const stride = key_floats(s);
    if (what.rows) std::fill_n(query_sum_, std::int64_t{heads_.count} * s.qk_dim, 0.0f);
    auto const use = [&](std::int32_t const* index, std::int32_t count) {
      step(row, index, count, what);
      if (!what.keys) return;
      add_outer_products(score_, plain_query_, heads_.count, s.qk_dim, index, count, span.from,
                         sums, stride);
      add_outer_products(product_, plain_out_, heads_.count, s.v_dim, index, count, span.from,
                         sums + s.qk_dim, stride);
    };
    if (found_) {
      keys_.each_found(heads_.first - row.head * s.group(), use);
    } else {
      keys_.each(
          row.of, row.token, heads_.scope_head, span,
          [&](std::int32_t from, std::int32_t count, float* out) {
            multiply(row, query_, heads_.count, from, count);
            join(row, count, out);
          },
          use);
    }
    if (what.rows) write_queries(row);
  }

  /// Reads the row; false where no head has a key.
  [[nodiscard]] bool begin(training_row const& row, wants what, float* kept) noexcept {
    shape const& s = plan_.shape;
    location const at = Problem::query_source::locate(args_.query, row.of.b, row.token);
    bool any = false;
    for (std::int32_t h = 0; h < heads_.count; ++h) {
      std::int32_t const head = heads_.first + h;
      float const lse = natural_lse(plan_.options, *args_.lse.at(at.outer, head, at.token));
      bool const empty = lse == minus_infinity;
      output_type const* const out = args_.d_o.at(at.outer, head, at.token);
      if (what.rows) kept[h] = empty ? 0.0f : dot(out, args_.o.at(at.outer, head, at.token));
      row_[h].delta = kept[h];
      // Nothing reaches infinity, so an empty head beside others has no probabilities.
      row_[h].lse = empty                          ? -minus_infinity
                    : args_.sink_logits == nullptr ? lse
                                                   : joined_lse(lse, args_.sink_logits[head]);
      any |= !empty;
      query_type const* const q = args_.q.at(at.outer, head, at.token);
      prepare_query<key_type>(q, s.qk_dim, query_ + std::int64_t{h} * s.qk_dim);
      prepare_query<value_type>(out, s.v_dim, out_ + std::int64_t{h} * s.v_dim);
      if (!what.keys) continue;
      widen_plain(q, s.qk_dim, plain_query_ + std::int64_t{h} * s.qk_dim);
      widen_plain(out, s.v_dim, plain_out_ + std::int64_t{h} * s.v_dim);
    }
    if (!any && what.rows) {
      std::fill_n(query_sum_, std::int64_t{heads_.count} * s.qk_dim, 0.0f);
      write_queries(row);
    }
    return any;
  }

  [[nodiscard]] float dot(output_type const* a, output_type const* b) const noexcept {
    lanes x = splat(0.0f);
    for (int d = 0; d < plan_.shape.v_dim; d += lane_count) {
      x = multiply_add(widen(a + d), widen(b + d), x);
    }
    return sum(x);
  }

  /// Finds the sets of all heads of a key head together: each key is read once for all of them.
  [[nodiscard]] bool find_together(training_row const& row, std::int32_t first,
                                   key_span span) noexcept {
    std::int32_t const group = plan_.shape.group();
    std::int32_t const dim = plan_.shape.qk_dim;
    if (!keys_.finds_together()) return false;
    location const at = Problem::query_source::locate(args_.query, row.of.b, row.token);
    for (std::int32_t h = 0; h < group; ++h) {
      prepare_query<key_type>(args_.q.at(at.outer, first + h, at.token), dim,
                              scan_query_ + std::int64_t{h} * dim);
    }
    return keys_.find(row.of, row.token, first, group, span,
                      [&](std::int32_t from, std::int32_t count, float* out) {
                        multiply(row, scan_query_, group, from, count);
                        std::copy_n(raw_, std::int64_t{group} * tile_keys, out);
                      });
  }

  /// Scores of `heads` queries and a tile of keys, to raw_ [heads][tile_keys].
  void multiply(training_row const& row, float const* query, std::int32_t heads, std::int32_t first,
                std::int32_t count) noexcept {
    key_type const* address[tile_keys];
    location const at =
        Problem::kv_source::locate(args_.kv, row.of.b, first, plan_.shape.page_size);
    for (std::int32_t j = 0; j < count; ++j) {
      address[j] = args_.k.at(at.outer, row.head, at.token + j);
    }
    dot_products(query, heads, address, count, count, plan_.shape.qk_dim, raw_, tile_keys);
  }

  /// The scores that the selection of these heads went by.
  void join(training_row const& row, std::int32_t count, float* out) const noexcept {
    if constexpr (Problem::per_kv_group) {
      location const query = Problem::query_source::locate(args_.query, row.of.b, row.token);
      // Whole registers are written.
      alignas(64) float joined[tile_keys];
      join_heads<query_key_source<Problem>>(plan_.options, args_, query, raw_, heads_.count,
                                            nullptr, count, joined);
      std::copy_n(joined, count, out);
    } else {
      std::copy_n(raw_, count, out);
    }
  }

  /// dS to score_, P to product_; adds to the sums of the queries.
  void step(training_row const& row, std::int32_t const* index, std::int32_t count,
            wants what) noexcept {
    shape const& s = plan_.shape;
    key_type const* key[step_keys];
    value_type const* value[step_keys];
    for (std::int32_t j = 0; j < count; ++j) {
      location const at = Problem::kv_source::locate(args_.kv, row.of.b, index[j], s.page_size);
      key[j] = args_.k.at(at.outer, row.head, at.token);
      value[j] = args_.v.at(at.outer, row.head, at.token);
    }
    dot_products(query_, heads_.count, key, count, count, s.qk_dim, score_, step_keys);
    dot_products(out_, heads_.count, value, count, count, s.v_dim, product_, step_keys);
    logit_map const map{plan_.options.scale, plan_.options.soft_cap};
    for (std::int32_t h = 0; h < heads_.count; ++h) {
      float* const score = score_ + std::int64_t{h} * step_keys;
      float* const product = product_ + std::int64_t{h} * step_keys;
      std::fill(score + count, score + step_keys, 0.0f);
      std::fill(product + count, product + step_keys, 0.0f);
      differentiate_softmax(map, row_[h], score, product, step_keys);
    }
    if (!what.rows) return;
    add_weighted_values<key_type>(score_, step_keys, heads_.count, {key, count, nullptr, 0},
                                  s.qk_dim, query_sum_, s.qk_dim);
  }

  void write_queries(training_row const& row) const noexcept {
    if (!args_.dq) return;
    std::int32_t const dim = plan_.shape.qk_dim;
    location const at = Problem::query_source::locate(args_.query, row.of.b, row.token);
    for (std::int32_t h = 0; h < heads_.count; ++h) {
      narrow(query_sum_ + std::int64_t{h} * dim, dim,
             args_.dq.at(at.outer, heads_.first + h, at.token));
    }
  }

  template <class T>
  static void narrow(float const* from, std::int32_t dim, T* to) noexcept {
    for (std::int32_t d = 0; d < dim; ++d) to[d] = static_cast<T>(from[d]);
  }

  plan const& plan_;
  arguments<Problem> const& args_;
  row_keys<Problem> keys_;
  head_set heads_{};
  bool found_ = false;            // the sets of all heads of this token
  float* query_ = nullptr;        // [heads][qk_dim] as dot_products takes them
  float* plain_query_ = nullptr;  // [heads][qk_dim]
  float* out_ = nullptr;          // [heads][v_dim] dO, as dot_products takes it
  float* plain_out_ = nullptr;    // [heads][v_dim]
  float* query_sum_ = nullptr;    // [heads][qk_dim]
  float* score_ = nullptr;        // [heads][step_keys]
  float* product_ = nullptr;      // [heads][step_keys]
  float* raw_ = nullptr;          // [group][tile_keys]
  float* scan_query_ = nullptr;   // [group][qk_dim] where all are scored together
  softmax_row* row_ = nullptr;    // [heads]
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu
