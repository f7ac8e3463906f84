// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The controls among the ways to attend that are compared.

#pragma once

#include "attention.hpp"
#include "model.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

namespace language_model {

/// `q_len` new tokens of a sequence of this model.
[[nodiscard]] inline attention_shape shape_of(hyperparameters const& h, std::int32_t q_len) {
  return {.q_heads = h.q_heads,
          .kv_heads = h.kv_heads,
          .q_len = q_len,
          .context = h.context,
          .head_dim = h.head_dim};
}

/// Token `i` of a step of `q_len` new ones, alone: its keys end where it stands.
[[nodiscard]] inline attention_step one_token(attention_step step, std::int32_t i,
                                              std::int32_t q_len) {
  step.length -= q_len - 1 - i;
  step.q.data = step.q.at(0, i);
  step.o.data = step.o.at(0, i);
  return step;
}

/// A control: the most recent keys, all of them that the budget allows.
class recent_attention final : public attention_method {
 public:
  recent_attention(attention_backend const& backend, attention_shape shape, key_budget budget)
      : q_len_(shape.q_len), context_(shape.context), budget_(budget) {
    shape.q_len = 1;
    call_ = backend.make_call(key_choice::window, shape, options(context_));
  }

  void run(attention_step const& step) override {
    for (std::int32_t i = 0; i < q_len_; ++i) {
      attention_step const one = one_token(step, i, q_len_);
      // The window grows with the sequence where the budget is a ratio: a plan for each token,
      // which is cheap.
      call_->replan(options(one.length));
      call_->run(one);
    }
  }
  [[nodiscard]] std::int32_t capacity() const override { return context_; }

 private:
  [[nodiscard]] attention_options options(std::int32_t length) const {
    return {.budget = all_keys, .window = budget_.of(length)};
  }

  std::int32_t q_len_;
  std::int32_t context_;
  key_budget budget_;
  std::unique_ptr<attention_call> call_;
};

/// A control: random keys, others for each head, layer and token.
class random_attention final : public attention_method {
 public:
  random_attention(attention_backend const& backend, attention_shape shape, key_budget budget,
                   std::uint64_t seed)
      : q_len_(shape.q_len), q_heads_(shape.q_heads), budget_(budget), random_(seed) {
    shape.q_len = 1;
    call_ =
        backend.make_call(key_choice::given, shape, {.budget = {.keys = budget.of(shape.context)}});
    deck_.resize(static_cast<std::size_t>(shape.context));
    auto const heads = static_cast<std::size_t>(q_heads_);
    positions_.resize(heads * static_cast<std::size_t>(capacity()));
    count_.resize(heads);
  }

  void run(attention_step const& step) override {
    for (std::int32_t i = 0; i < q_len_; ++i) {
      attend_one(one_token(step, i, q_len_));
    }
  }
  [[nodiscard]] std::int32_t capacity() const override { return call_->capacity(); }

 private:
  void attend_one(attention_step step) {
    std::int32_t const k = std::min(budget_.of(step.length), step.length);
    for (std::int32_t head = 0; head < q_heads_; ++head) {
      std::int32_t* const own = positions_.data() + std::int64_t{head} * capacity();
      draw(step.length, k, own);
      count_[static_cast<std::size_t>(head)] = k;
      if (step.positions.data != nullptr) std::copy_n(own, k, step.positions.at(head, 0));
      if (step.count.data != nullptr) *step.count.at(head, 0) = k;
    }
    step.given_positions = {positions_.data(), capacity(), 0};
    step.given_count = {count_.data(), 1, 0};
    step.positions = {};
    step.count = {};
    call_->run(step);
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
  key_budget budget_;
  std::unique_ptr<attention_call> call_;
  std::mt19937_64 random_;
  std::vector<std::int32_t> deck_;
  std::vector<std::int32_t> positions_;
  std::vector<std::int32_t> count_;
};

}  // namespace language_model
