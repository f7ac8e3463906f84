// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What a way to attend keeps of the full attention: recall, mass, entropy.

#pragma once

#include "attention.hpp"

#include <tka/metrics/recall.hpp>
#include <tka/metrics/retained_mass.hpp>

#include <cstdint>
#include <memory>
#include <vector>

namespace language_model {

/// Sums over heads, layers and tokens.
struct attention_metrics {
  double recall = 0.0;         ///< share of the exact top k, for the k that was kept
  double retained_mass = 0.0;  ///< softmax mass of the keys that were kept
  double entropy = 0.0;        ///< of the attention over them, in nats
  std::int64_t rows = 0;

  attention_metrics& operator+=(attention_metrics const& other) {
    recall += other.recall;
    retained_mass += other.retained_mass;
    entropy += other.entropy;
    rows += other.rows;
    return *this;
  }
};

/// Attends by a method as it would, asks it what it kept, and compares this with the exact
/// selection of as many keys, which a second call makes. For steps of one new token.
class measured_attention {
 public:
  measured_attention(attention_backend const& backend, attention_shape const& shape,
                     attention_method& method)
      : shape_(shape),
        method_(method),
        capacity_(method.capacity()),
        heads_(static_cast<std::size_t>(shape.q_heads)),
        own_(heads_, capacity_),
        exact_(heads_, capacity_),
        lse_visible_(heads_),
        unused_(heads_ * static_cast<std::size_t>(shape.head_dim)),
        exact_call_(backend.make_call(key_choice::exact_radix, shape,
                                      {.budget = {.keys = capacity_}, .measures_visible = true})) {}

  void run(attention_step step) {
    step.lse = {own_.lse.data(), 1, 0};
    step.entropy = {own_.entropy.data(), 1, 0};
    step.positions = {own_.positions.data(), capacity_, 0};
    step.count = {own_.count.data(), 1, 0};
    method_.run(step);
    std::int32_t const k = own_.count.front();  // all heads keep as many
    exact_call_->run({.q = step.q,
                      .cache = step.cache,
                      .o = {unused_.data(), shape_.head_dim, 0},
                      .length = step.length,
                      .keys = k,
                      .lse_visible = {lse_visible_.data(), 1, 0},
                      .positions = {exact_.positions.data(), capacity_, 0},
                      .count = {exact_.count.data(), 1, 0}});
    for (std::size_t head = 0; head < heads_; ++head) {
      std::size_t const at = head * static_cast<std::size_t>(capacity_);
      sums_.recall += tka::recall(own_.positions.data() + at, own_.count[head],
                                  exact_.positions.data() + at, exact_.count[head]);
      sums_.retained_mass += tka::retained_mass(own_.lse[head], lse_visible_[head]);
      sums_.entropy += own_.entropy[head];
      ++sums_.rows;
    }
  }
  [[nodiscard]] attention_metrics const& sums() const { return sums_; }

 private:
  struct kept {
    kept(std::size_t heads, std::int32_t capacity)
        : lse(heads),
          entropy(heads),
          positions(heads * static_cast<std::size_t>(capacity)),
          count(heads) {}
    std::vector<float> lse;
    std::vector<float> entropy;
    std::vector<std::int32_t> positions;
    std::vector<std::int32_t> count;
  };

  attention_shape shape_;
  attention_method& method_;
  std::int32_t capacity_;
  std::size_t heads_;
  kept own_;
  kept exact_;
  std::vector<float> lse_visible_;
  std::vector<float> unused_;
  std::unique_ptr<attention_call> exact_call_;
  attention_metrics sums_;
};

}  // namespace language_model
