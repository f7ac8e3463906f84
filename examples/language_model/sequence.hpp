// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// One sequence under way: its cache, and how tokens pass through the model.

#pragma once

#include "attention.hpp"
#include "methods.hpp"
#include "model.hpp"

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <vector>

namespace language_model {

/// The caches of all layers and the tokens read so far.
class sequence {
 public:
  sequence(model const& m, attention_backend const& backend) : model_(m) {
    attention_shape const shape = shape_of(m.shape(), 1);
    for (int i = 0; i < m.shape().layers; ++i) layers_.push_back(backend.make_cache(shape));
  }

  [[nodiscard]] std::int32_t length() const { return length_; }
  /// Forgets all tokens but the first `length`. Their keys stay; those behind are written over.
  void truncate(std::int32_t length) { length_ = std::min(length, length_); }

  /// Reads `tokens` and returns what the last layer makes of them; `attend(layer, step)` attends.
  template <std::invocable<int, attention_step> Attend>
  [[nodiscard]] columns read(std::span<std::uint8_t const> tokens, Attend&& attend) {
    hyperparameters const& h = model_.shape();
    auto const count = static_cast<std::int32_t>(tokens.size());
    if (count > h.context - length_) throw std::length_error("the model's context is full");
    std::int32_t const start = length_;
    length_ += count;
    columns x = model_.embed(tokens);
    columns attended(Eigen::Index{h.q_heads} * h.head_dim, count);
    for (int i = 0; i < h.layers; ++i) {
      attention_cache& cache = *layers_[static_cast<std::size_t>(i)];
      model_.project(i, x, start, now_);
      cache.append(now_.k.data(), now_.v.data(), start, count);
      attend(i, attention_step{.q = by_token<float const>(now_.q, h.head_dim),
                               .cache = &cache,
                               .o = by_token<float>(attended, h.head_dim),
                               .length = length_});
      model_.finish(i, attended, x);
    }
    return x;
  }

  [[nodiscard]] columns read(std::span<std::uint8_t const> tokens, attention_method& method) {
    return read(tokens, [&](int, auto const& step) { method.run(step); });
  }

 private:
  /// Activations [tokens, heads, dim], a column a token.
  template <class T>
  [[nodiscard]] static host_tensor<T> by_token(columns& x, std::int64_t dim) {
    return {x.data(), dim, x.rows()};
  }

  model const& model_;
  std::vector<std::unique_ptr<attention_cache>> layers_;
  std::int32_t length_ = 0;
  projections now_;
};

/// Reads `tokens` densely, some hundreds at a time; returns what the last layer makes of the last
/// ones of them.
inline columns prefill(sequence& s, hyperparameters const& h, attention_backend const& backend,
                       std::span<std::uint8_t const> tokens) {
  constexpr std::size_t chunk = 512;
  columns last;
  for (std::size_t at = 0; at < tokens.size(); at += chunk) {
    auto const part = tokens.subspan(at, std::min(chunk, tokens.size() - at));
    auto const dense = backend.make_call(
        key_choice::exact_radix, shape_of(h, static_cast<std::int32_t>(part.size())), {all_keys});
    last = s.read(part, *dense);
  }
  return last;
}

}  // namespace language_model
