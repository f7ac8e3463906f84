// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The ways to attend that are compared, behind one interface that this host needs to choose among
/// them at run time.

#pragma once

#include "model.hpp"

#include <tka/attend_selected.hpp>
#include <tka/backend/cpu.hpp>
#include <tka/sparse_attention.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

namespace language_model {

/// A precision of this host: it computes in fp32 and stores its cache in fp16.
struct half_cache {
  using query_type = float;
  using key_type = tka::float16_t;
  using value_type = tka::float16_t;
  using output_type = float;
};

/// One layer's attention for the newest tokens of one sequence.
template <class Precision>
struct attention_step {
  tka::tensor_view<float const> q;                           // [1, q_heads, q_len, head_dim]
  tka::tensor_view<typename Precision::key_type const> k;    // [1, kv_heads, context, head_dim]
  tka::tensor_view<typename Precision::value_type const> v;  // [1, kv_heads, context, head_dim]
  tka::tensor_view<float> o;                                 // [1, q_heads, q_len, head_dim]
  std::int32_t const* length;                                // keys in the cache

  // Made only where they are asked for, in steps of one token.
  tka::tensor_view<float> lse{};               // [1, q_heads, q_len]
  tka::tensor_view<float> entropy{};           // [1, q_heads, q_len]
  tka::tensor_view<std::int32_t> positions{};  // [1, q_heads, q_len, capacity], ascending
  tka::tensor_view<std::int32_t> count{};      // [1, q_heads, q_len]
};

/// A way to attend, for steps of as many new tokens as it was made for.
template <class Precision>
class attention_method {
 public:
  virtual ~attention_method() = default;
  virtual void run(attention_step<Precision> const& step) = 0;
  /// The most keys that a head keeps: the room that `positions` needs.
  [[nodiscard]] virtual std::int32_t capacity() const = 0;
};

/// `q_len` new tokens of one sequence that may grow to the model's context.
[[nodiscard]] inline tka::shape attention_shape(hyperparameters const& h, std::int32_t q_len) {
  return {.batch = 1,
          .q_heads = h.q_heads,
          .kv_heads = h.kv_heads,
          .q_len = q_len,
          .kv_len = h.context,
          .qk_dim = h.head_dim,
          .v_dim = h.head_dim};
}

/// 1 / sqrt(head_dim)
[[nodiscard]] inline float attention_scale(tka::shape const& s) {
  return 1.0f / std::sqrt(static_cast<float>(s.qk_dim));
}

/// Token `i` of a step of `q_len` new ones, alone: its keys end where it stands, which `length`
/// then holds.
template <class Precision>
[[nodiscard]] attention_step<Precision> one_token(attention_step<Precision> step, std::int32_t i,
                                                  std::int32_t q_len, std::int32_t& length) {
  length = *step.length - (q_len - 1 - i);
  step.q.data = step.q.at(0, 0, i);
  step.o.data = step.o.at(0, 0, i);
  step.length = &length;
  return step;
}

/// The memory that a plan asks for.
class scratch_memory {
 public:
  [[nodiscard]] tka::workspace for_plan(tka::plan const& p) {
    if (lines_.size() * sizeof(line) < p.scratch_bytes) {
      lines_.resize((p.scratch_bytes + sizeof(line) - 1) / sizeof(line));
    }
    return {.scratch = lines_.data(), .scratch_bytes = lines_.size() * sizeof(line)};
  }

 private:
  struct alignas(tka::workspace_alignment) line {
    std::byte bytes[tka::workspace_alignment];
  };
  std::vector<line> lines_;
};

/// What the library selects. With the budget ratio(1, 1) this is dense attention.
template <class Selection, class Precision>
class selected_attention final : public attention_method<Precision> {
 public:
  selected_attention(tka::shape const& shape, tka::options options) {
    options.scale = attention_scale(shape);
    plan_ = attend.plan(shape, options, {.threads = 1});
    tka::throw_if(plan_.status);
  }
  void run(attention_step<Precision> const& step) override {
    tka::throw_if(attend(plan_,
                         {.q = step.q,
                          .k = step.k,
                          .v = step.v,
                          .o = step.o,
                          .kv = {.lengths = step.length},
                          .lse = step.lse,
                          .entropy = step.entropy,
                          .positions = step.positions,
                          .count = step.count},
                         scratch_.for_plan(plan_)));
  }
  [[nodiscard]] std::int32_t capacity() const override { return plan_.capacity; }

 private:
  static constexpr auto attend = tka::sparse_attention<Selection, Precision, tka::cpu>;
  tka::plan plan_;
  scratch_memory scratch_;
};

/// A control: the most recent keys, all of them that the budget allows.
template <class Precision>
class recent_attention final : public attention_method<Precision> {
 public:
  recent_attention(tka::shape const& shape, tka::budget budget)
      : shape_(shape), q_len_(shape.q_len), budget_(budget) {
    shape_.q_len = 1;
  }

  void run(attention_step<Precision> const& step) override {
    for (std::int32_t i = 0; i < q_len_; ++i) {
      std::int32_t length = 0;
      attend_one(one_token(step, i, q_len_, length));
    }
  }
  [[nodiscard]] std::int32_t capacity() const override { return shape_.kv_len; }

 private:
  static constexpr auto attend = tka::sparse_attention<tka::exact_radix, Precision, tka::cpu,
                                                       tka::form<tka::visibility::sliding_window>>;

  /// The window grows with the sequence where the budget is a ratio: a plan for each token, which
  /// is cheap.
  void attend_one(attention_step<Precision> const& step) {
    tka::options const options{.budget = tka::ratio(1, 1),
                               .scale = attention_scale(shape_),
                               .window = budget_.of(*step.length)};
    tka::plan const plan = attend.plan(shape_, options, {.threads = 1});
    tka::throw_if(attend(plan,
                         {.q = step.q,
                          .k = step.k,
                          .v = step.v,
                          .o = step.o,
                          .kv = {.lengths = step.length},
                          .lse = step.lse,
                          .entropy = step.entropy,
                          .positions = step.positions,
                          .count = step.count},
                         scratch_.for_plan(plan)));
  }

  tka::shape shape_;
  std::int32_t q_len_;
  tka::budget budget_;
  scratch_memory scratch_;
};

/// A control: random keys, others for each head, layer and token.
template <class Precision>
class random_attention final : public attention_method<Precision> {
 public:
  random_attention(tka::shape shape, tka::budget budget, std::uint64_t seed)
      : q_len_(shape.q_len), q_heads_(shape.q_heads), budget_(budget), random_(seed) {
    shape.q_len = 1;
    tka::options const options{.budget = tka::top_k(budget.of(shape.kv_len)),
                               .scale = attention_scale(shape)};
    plan_ = attend.plan(shape, options, {.threads = 1});
    tka::throw_if(plan_.status);
    deck_.resize(static_cast<std::size_t>(shape.kv_len));
    auto const heads = static_cast<std::size_t>(q_heads_);
    positions_.resize(heads * static_cast<std::size_t>(plan_.capacity));
    count_.resize(heads);
  }

  void run(attention_step<Precision> const& step) override {
    for (std::int32_t i = 0; i < q_len_; ++i) {
      std::int32_t length = 0;
      attend_one(one_token(step, i, q_len_, length));
    }
  }
  [[nodiscard]] std::int32_t capacity() const override { return plan_.capacity; }

 private:
  static constexpr auto attend = tka::attend_selected<Precision, tka::cpu>;

  void attend_one(attention_step<Precision> const& step) {
    std::int32_t const k = std::min(budget_.of(*step.length), *step.length);
    for (std::int32_t head = 0; head < q_heads_; ++head) {
      std::int32_t* const own = positions_.data() + std::int64_t{head} * plan_.capacity;
      draw(*step.length, k, own);
      count_[static_cast<std::size_t>(head)] = k;
      if (step.positions) std::copy_n(own, k, step.positions.at(0, head, 0));
      if (step.count) *step.count.at(0, head, 0) = k;
    }
    tka::throw_if(attend(plan_,
                         {.q = step.q,
                          .k = step.k,
                          .v = step.v,
                          .o = step.o,
                          .positions = {positions_.data(), 0, plan_.capacity, 0},
                          .count = {count_.data(), 0, 1, 0},
                          .kv = {.lengths = step.length},
                          .lse = step.lse,
                          .entropy = step.entropy},
                         scratch_.for_plan(plan_)));
  }

  /// k different positions below `length`, ascending: the first k cards of a shuffled deck.
  void draw(std::int32_t length, std::int32_t k, std::int32_t* out) {
    std::iota(deck_.begin(), deck_.begin() + length, 0);
    for (std::int32_t i = 0; i < k; ++i) {
      auto const left = static_cast<std::uint64_t>(length - i);
      auto const other = static_cast<std::size_t>(i) + random_() % left;
      std::swap(deck_[static_cast<std::size_t>(i)], deck_[other]);
    }
    std::copy_n(deck_.begin(), k, out);
    std::sort(out, out + k);
  }

  std::int32_t q_len_;
  std::int32_t q_heads_;
  tka::budget budget_;
  tka::plan plan_;
  std::mt19937_64 random_;
  std::vector<std::int32_t> deck_;
  std::vector<std::int32_t> positions_;
  std::vector<std::int32_t> count_;
  scratch_memory scratch_;
};

}  // namespace language_model
