// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// One sequence under way: its cache, and how tokens pass through the model.

#pragma once

#include "attention.hpp"
#include "model.hpp"

#include <tka/append.hpp>

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <vector>

namespace language_model {

/// Keys and values of all layers, [kv_heads, context, head_dim] each, and the tokens read so far.
template <class Precision>
class sequence {
 public:
  explicit sequence(model const& m)
      : model_(m), layers_(static_cast<std::size_t>(m.shape().layers)) {
    hyperparameters const& h = m.shape();
    auto const size = static_cast<std::size_t>(h.kv_heads) * static_cast<std::size_t>(h.context) *
                      static_cast<std::size_t>(h.head_dim);
    for (layer& l : layers_) {
      l.k.resize(size);
      l.v.resize(size);
    }
  }

  [[nodiscard]] std::int32_t length() const { return length_; }
  /// Forgets all tokens but the first `length`. Their keys stay; those behind are written over.
  void truncate(std::int32_t length) { length_ = std::min(length, length_); }

  /// Reads `tokens` and returns what the last layer makes of them; `attend(layer, step)` attends.
  template <std::invocable<int, attention_step<Precision>> Attend>
  [[nodiscard]] columns read(std::span<std::uint8_t const> tokens, Attend&& attend) {
    hyperparameters const& h = model_.shape();
    auto const count = static_cast<std::int32_t>(tokens.size());
    if (count > h.context - length_) throw std::length_error("the model's context is full");
    std::int32_t const start = length_;
    length_ += count;
    columns x = model_.embed(tokens);
    columns attended(Eigen::Index{h.q_heads} * h.head_dim, count);
    for (int i = 0; i < h.layers; ++i) {
      layer& l = layers_[static_cast<std::size_t>(i)];
      model_.project(i, x, start, now_);
      auto const k = tka::hnd(l.k.data(), h.kv_heads, h.context, h.head_dim);
      auto const v = tka::hnd(l.v.data(), h.kv_heads, h.context, h.head_dim);
      tka::throw_if(append(attention_shape(h, count), {},
                           {.new_k = tka::nhd(now_.k.data(), h.kv_heads, count, h.head_dim),
                            .new_v = tka::nhd(now_.v.data(), h.kv_heads, count, h.head_dim),
                            .k = k,
                            .v = v,
                            .starts = &start}));
      attend(i,
             attention_step<Precision>{.q = tka::nhd(now_.q.data(), h.q_heads, count, h.head_dim),
                                       .k = k,
                                       .v = v,
                                       .o = tka::nhd(attended.data(), h.q_heads, count, h.head_dim),
                                       .length = &length_});
      model_.finish(i, attended, x);
    }
    return x;
  }

  [[nodiscard]] columns read(std::span<std::uint8_t const> tokens,
                             attention_method<Precision>& method) {
    return read(tokens, [&](int, auto const& step) { method.run(step); });
  }

 private:
  static constexpr auto append = tka::append<Precision, tka::cpu>;
  struct layer {
    std::vector<typename Precision::key_type> k;
    std::vector<typename Precision::value_type> v;
  };

  model const& model_;
  std::vector<layer> layers_;
  std::int32_t length_ = 0;
  projections now_;
};

/// Reads `tokens` densely, some hundreds at a time; returns what the last layer makes of the last
/// ones of them.
template <class Precision>
columns prefill(sequence<Precision>& s, hyperparameters const& h,
                std::span<std::uint8_t const> tokens) {
  constexpr std::size_t chunk = 512;
  columns last;
  for (std::size_t at = 0; at < tokens.size(); at += chunk) {
    auto const part = tokens.subspan(at, std::min(chunk, tokens.size() - at));
    selected_attention<tka::exact_radix, Precision> dense(
        attention_shape(h, static_cast<std::int32_t>(part.size())), {.budget = tka::ratio(1, 1)});
    last = s.read(part, dense);
  }
  return last;
}

}  // namespace language_model
