// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The loss of a lightning indexer and its gradients, one query token at a time: with its scores I
/// and the target p each key gives dI = softmax(I) - p, and from there through the heads.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/arithmetic.hpp>
#include <tka/detail/cpu/dot_products.hpp>
#include <tka/detail/cpu/lanes.hpp>
#include <tka/detail/cpu/softmax.hpp>
#include <tka/detail/cpu/training/outer_products.hpp>
#include <tka/detail/cpu/training/row_keys.hpp>
#include <tka/detail/cpu/training/training_row.hpp>
#include <tka/detail/cpu/weighted_values.hpp>
#include <tka/detail/shared/arena.hpp>
#include <tka/detail/shared/problem.hpp>
#include <tka/plan.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu {

/// sum over heads of weight * max(product, 0), in head order, as `index_source` joins them.
/// `product` [heads][stride]. Not inlined: every pass gives the same bits.
[[gnu::noinline]] inline void join_index_heads(float const* product, std::int64_t stride,
                                               float const* weight, std::int32_t heads,
                                               std::int32_t count, float* out) noexcept {
  for (std::int32_t i = 0; i < count; i += lane_count) {
    lanes joined = splat(0.0f);
    for (std::int32_t h = 0; h < heads; ++h) {
      joined = multiply_add(splat(weight[h]), rectify(load(product + h * stride + i)), joined);
    }
    store(out + i, joined);
  }
}

template <class Problem>
class indexer_stage {
  using query_type = typename Problem::precision::query_type;
  using key_type = typename Problem::precision::key_type;
  using index_query_type = typename Problem::index_precision::query_type;
  using index_key_type = typename Problem::index_precision::key_type;

 public:
  [[nodiscard]] static std::int32_t key_heads(shape const&) noexcept { return 1; }
  [[nodiscard]] static std::int64_t key_floats(shape const& s) noexcept { return s.index_dim; }
  /// What a row leaves for later passes: the log of the sum of e^I.
  [[nodiscard]] static std::int64_t row_floats(shape const&) noexcept { return 1; }

  indexer_stage(plan const& p, arguments<Problem> const& a) noexcept
      : plan_(p), args_(a), keys_(p, a) {}

  void carve(arena& memory) noexcept {
    shape const& s = plan_.shape;
    std::int64_t const widest = std::max(s.index_heads, s.group());
    keys_.carve(memory, 1);
    index_query_ = memory.take<float>(std::int64_t{s.index_heads} * s.index_dim);
    plain_query_ = memory.take<float>(std::int64_t{s.index_heads} * s.index_dim);
    query_sum_ = memory.take<float>(std::int64_t{s.index_heads} * s.index_dim);
    weight_ = memory.take<float>(s.index_heads);
    weight_sum_ = memory.take<float>(s.index_heads);
    query_ = memory.take<float>(std::int64_t{s.q_heads} * s.qk_dim);
    lse_ = memory.take<float>(s.q_heads);
    raw_ = memory.take<float>(std::int64_t{s.index_heads} * tile_keys);
    product_ = memory.take<float>(widest * step_keys);
    score_ = memory.take<float>(step_keys);
    target_ = memory.take<float>(step_keys);
    change_ = memory.take<float>(std::int64_t{s.index_heads} * step_keys);
  }

  void run(training_row const& row, wants what, key_span span, float* sums, float* kept) noexcept {
    shape const& s = plan_.shape;
    if (!begin(row)) {
      if (what.rows) {
        clear_row();
        write_row(row, 0.0f);
      }
      return;
    }
    location const at = Problem::query_source::locate(args_.query, row.of.b, row.token);
    auto const score_tile = [&](std::int32_t first, std::int32_t count, float* out) {
      score(row, first, count, out);
    };
    if (what.rows) {
      clear_row();
      softmax_sums all{};
      keys_.each(row.of, row.token, 0, span, score_tile,
                 [&](std::int32_t const* index, std::int32_t count) {
                   score_step(row, index, count);
                   std::fill(score_ + count, score_ + step_keys, minus_infinity);
                   (void)accumulate(all, score_, step_keys);
                 });
      kept[0] = all.lse();
    }
    float const lse = kept[0];
    float const follows = args_.d_loss ? *args_.d_loss.at(at.outer, 0, at.token) : 1.0f;
    float loss = 0.0f;
    keys_.each(row.of, row.token, 0, span, score_tile,
               [&](std::int32_t const* index, std::int32_t count) {
                 score_step(row, index, count);
                 aim(row, index, count);
                 float const part = differentiate(lse, follows, count);
                 loss += part;
                 if (what.rows) add_to_row(count);
                 if (what.keys) {
                   add_outer_products(change_, plain_query_, s.index_heads, s.index_dim, index,
                                      count, span.from, sums, s.index_dim);
                 }
               });
    if (what.rows) write_row(row, loss);
  }

  void write(location key, std::int32_t, float const* sums) const noexcept {
    if (!args_.d_index_k) return;
    std::copy_n(sums, plan_.shape.index_dim, args_.d_index_k.at(key.outer, 0, key.token));
  }

  template <class Kept>
  void finish(std::int32_t, std::int32_t, Kept&&) const noexcept {}

 private:
  /// Reads the row; false where attention sees no key.
  [[nodiscard]] bool begin(training_row const& row) noexcept {
    shape const& s = plan_.shape;
    location const at = Problem::query_source::locate(args_.query, row.of.b, row.token);
    shares_ = 0.0f;
    bool any = false;
    for (std::int32_t h = 0; h < s.q_heads; ++h) {
      float const lse = natural_lse(plan_.options, *args_.lse.at(at.outer, h, at.token));
      float const sink = args_.sink_logits == nullptr ? minus_infinity : args_.sink_logits[h];
      bool const empty = lse == minus_infinity;
      float const largest = sink > lse ? sink : lse;
      // A sink takes its share of a head's attention: the rest is what the head adds.
      float const joined =
          sink == minus_infinity
              ? lse
              : largest + std::log(std::exp(lse - largest) + std::exp(sink - largest));
      lse_[h] = empty ? -minus_infinity : joined;
      shares_ += empty ? 0.0f : std::exp(lse - joined);
      any |= !empty;
      prepare_query<key_type>(args_.q.at(at.outer, h, at.token), s.qk_dim,
                              query_ + std::int64_t{h} * s.qk_dim);
    }
    for (std::int32_t h = 0; h < s.index_heads; ++h) {
      index_query_type const* const q = args_.index.q.at(at.outer, h, at.token);
      prepare_query<index_key_type>(q, s.index_dim, index_query_ + std::int64_t{h} * s.index_dim);
      widen_plain(q, s.index_dim, plain_query_ + std::int64_t{h} * s.index_dim);
      weight_[h] = *args_.index.weights.at(at.outer, h, at.token);
    }
    return any;
  }

  void clear_row() noexcept {
    shape const& s = plan_.shape;
    std::fill_n(query_sum_, std::int64_t{s.index_heads} * s.index_dim, 0.0f);
    std::fill_n(weight_sum_, s.index_heads, 0.0f);
  }

  /// Index scores of a tile of keys.
  void score(training_row const& row, std::int32_t first, std::int32_t count, float* out) noexcept {
    shape const& s = plan_.shape;
    index_key_type const* address[tile_keys];
    location const at = Problem::kv_source::locate(args_.kv, row.of.b, first, s.page_size);
    for (std::int32_t j = 0; j < count; ++j) {
      address[j] = args_.index.k.at(at.outer, 0, at.token + j);
    }
    dot_products(index_query_, s.index_heads, address, count, count, s.index_dim, raw_, tile_keys);
    alignas(64) float joined[tile_keys];
    join_index_heads(raw_, tile_keys, weight_, s.index_heads, count, joined);
    std::copy_n(joined, count, out);
  }

  /// Index scores of a step of keys, to score_; the products of heads stay in raw_.
  void score_step(training_row const& row, std::int32_t const* index, std::int32_t count) noexcept {
    shape const& s = plan_.shape;
    for (std::int32_t j = 0; j < count; ++j) {
      location const at = Problem::kv_source::locate(args_.kv, row.of.b, index[j], s.page_size);
      index_key_[j] = args_.index.k.at(at.outer, 0, at.token);
    }
    dot_products(index_query_, s.index_heads, index_key_, count, count, s.index_dim, raw_,
                 step_keys);
    join_index_heads(raw_, step_keys, weight_, s.index_heads, count, score_);
  }

  /// What the heads of the attention give each key of the step together, to target_.
  void aim(training_row const& row, std::int32_t const* index, std::int32_t count) noexcept {
    shape const& s = plan_.shape;
    logit_map const to_logit{plan_.options.scale, plan_.options.soft_cap};
    std::fill_n(target_, step_keys, 0.0f);
    for (std::int32_t kv_head = 0; kv_head < s.kv_heads; ++kv_head) {
      key_type const* key[step_keys];
      for (std::int32_t j = 0; j < count; ++j) {
        location const at = Problem::kv_source::locate(args_.kv, row.of.b, index[j], s.page_size);
        key[j] = args_.k.at(at.outer, kv_head, at.token);
      }
      std::int32_t const first = kv_head * s.group();
      dot_products(query_ + std::int64_t{first} * s.qk_dim, s.group(), key, count, count, s.qk_dim,
                   product_, step_keys);
      for (std::int32_t h = 0; h < s.group(); ++h) {
        float* const x = product_ + std::int64_t{h} * step_keys;
        std::fill(x + count, x + step_keys, 0.0f);
        to_logit.apply(x, step_keys);
        lanes const lse = splat(lse_[first + h]);
        for (std::int32_t j = 0; j < step_keys; j += lane_count) {
          store(target_ + j, add(load(target_ + j), exponential(subtract(load(x + j), lse))));
        }
      }
    }
    for (std::int32_t j = 0; j < count; ++j) target_[j] /= shares_;
  }

  /// The step's part of the loss; target_ becomes dI, and change_ what each head's product gets.
  [[nodiscard]] float differentiate(float lse, float follows, std::int32_t count) noexcept {
    float loss = 0.0f;
    for (std::int32_t j = 0; j < count; ++j) {
      float const p = target_[j];
      float const log_share = score_[j] - lse;
      // p ln p is 0 at 0; a NaN passes.
      if (p != 0.0f) loss += p * (std::log(p) - log_share);
      target_[j] = follows * (exponential(log_share) - p);
    }
    for (std::int32_t h = 0; h < plan_.shape.index_heads; ++h) {
      for (std::int32_t j = 0; j < count; ++j) {
        bool const off = raw_[h * step_keys + j] <= 0.0f;
        change_[h * step_keys + j] = off ? 0.0f : target_[j] * weight_[h];
      }
    }
    return loss;
  }

  void add_to_row(std::int32_t count) noexcept {
    shape const& s = plan_.shape;
    add_weighted_values<index_key_type>(change_, step_keys, s.index_heads,
                                        {index_key_, count, nullptr, 0}, s.index_dim, query_sum_,
                                        s.index_dim);
    for (std::int32_t h = 0; h < s.index_heads; ++h) {
      for (std::int32_t j = 0; j < count; ++j) {
        float const product = raw_[h * step_keys + j];
        if (!(product <= 0.0f)) weight_sum_[h] += target_[j] * product;
      }
    }
  }

  void write_row(training_row const& row, float loss) const noexcept {
    shape const& s = plan_.shape;
    location const at = Problem::query_source::locate(args_.query, row.of.b, row.token);
    if (args_.loss) *args_.loss.at(at.outer, 0, at.token) = loss;
    for (std::int32_t h = 0; h < s.index_heads; ++h) {
      if (args_.d_index_q) {
        std::copy_n(query_sum_ + std::int64_t{h} * s.index_dim, s.index_dim,
                    args_.d_index_q.at(at.outer, h, at.token));
      }
      if (args_.d_weights) *args_.d_weights.at(at.outer, h, at.token) = weight_sum_[h];
    }
  }

  plan const& plan_;
  arguments<Problem> const& args_;
  row_keys<Problem> keys_;
  float shares_ = 0.0f;  // of all heads' attention that is the keys', not the sinks'
  index_key_type const* index_key_[step_keys];
  float* index_query_ = nullptr;  // [index_heads][index_dim] as dot_products takes them
  float* plain_query_ = nullptr;  // [index_heads][index_dim]
  float* query_sum_ = nullptr;    // [index_heads][index_dim]
  float* weight_ = nullptr;       // [index_heads]
  float* weight_sum_ = nullptr;   // [index_heads]
  float* query_ = nullptr;        // [q_heads][qk_dim]
  float* lse_ = nullptr;          // [q_heads] of the softmax's denominator
  float* raw_ = nullptr;          // [index_heads][tile_keys], or [index_heads][step_keys]
  float* product_ = nullptr;      // [heads][step_keys]
  float* score_ = nullptr;        // [step_keys]
  float* target_ = nullptr;       // [step_keys]
  float* change_ = nullptr;       // [index_heads][step_keys]
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu
