// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Softmax in one pass: maximum, sum and the accumulator of the entropy, merged in fixed order.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/lanes.hpp>

#include <cmath>
#include <limits>

namespace tka::inline TKA_ABI::detail::cpu {

inline constexpr float minus_infinity = -std::numeric_limits<float>::infinity();

/// From a score to a logit: scale, then the soft cap.
struct logit_map {
  float scale;
  float soft_cap;

  /// In place over full lanes.
  [[gnu::noinline]] void apply(float* x, int count) const noexcept {
    for (int i = 0; i < count; i += lane_count) {
      lanes s = multiply(load(x + i), splat(scale));
      if (soft_cap > 0.0f) {
        s = multiply(splat(soft_cap), hyperbolic_tangent(multiply(s, splat(1.0f / soft_cap))));
      }
      store(x + i, s);
    }
  }
};

/// Sums over a set of logits x: max, sum of e^(x - max), sum of e^(x - max) * (x - max). The empty
/// set has sum 0.
struct softmax_sums {
  float max = minus_infinity;
  float sum = 0.0f;
  float weighted = 0.0f;

  /// Refers the sums to another maximum; returns the factor for what else was summed with them.
  float refer_to(float new_max) noexcept {
    float const factor = empty() ? 0.0f : exponential(max - new_max);
    // Zero times infinity must not arise where nothing was summed yet or all of it vanishes.
    weighted = factor == 0.0f ? 0.0f : factor * (weighted + sum * (max - new_max));
    sum *= factor;
    max = new_max;
    return factor;
  }
  [[nodiscard]] bool empty() const noexcept { return sum == 0.0f; }
  [[nodiscard]] float lse() const noexcept {
    return empty() ? minus_infinity : max + std::log(sum);
  }
  /// - sum p ln p; 0 for the empty set.
  [[nodiscard]] float entropy() const noexcept {
    return empty() ? 0.0f : std::log(sum) - weighted / sum;
  }
};

/// Turns `count` logits (padded to full lanes with -inf) into e^(x - max of all so far), in place,
/// and adds them to `sums`. Returns what earlier results must be multiplied by.
[[nodiscard, gnu::noinline]] inline float accumulate(softmax_sums& sums, float* x,
                                                     int count) noexcept {
  float largest = sums.max;
  bool nan = false;
  for (int i = 0; i < count; ++i) {
    largest = x[i] > largest ? x[i] : largest;
    nan |= x[i] != x[i];
  }
  if (largest == minus_infinity && !nan) {
    for (int i = 0; i < count; ++i) x[i] = 0.0f;
    return 1.0f;
  }
  float const factor = sums.refer_to(largest);
  lanes total = splat(0.0f);
  lanes weighted = splat(0.0f);
  for (int i = 0; i < count; i += lane_count) {
    lanes const below = subtract(load(x + i), splat(largest));
    lanes const p = exponential(below);
    total = add(total, p);
    // Where p is 0 nothing is added, not 0 * inf.
    weighted = add(weighted, keep_from(below, -87.0f, multiply(p, below)));
    store(x + i, p);
  }
  sums.sum += sum(total);
  sums.weighted += sum(weighted);
  return factor;
}

/// Adds `next`, a later part, to `sums`.
[[gnu::noinline]] inline void merge(softmax_sums& sums, softmax_sums const& next) noexcept {
  if (next.empty()) return;
  if (sums.empty()) {
    sums = next;
    return;
  }
  softmax_sums other = next;
  float const largest = next.max > sums.max ? next.max : sums.max;
  sums.refer_to(largest);
  other.refer_to(largest);
  sums.sum += other.sum;
  sums.weighted += other.weighted;
}

}  // namespace tka::inline TKA_ABI::detail::cpu
