// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// From scores to logits, and the softmax sums of a run of logits.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/arithmetic.hpp>
#include <tka/detail/cpu/functions.hpp>
#include <tka/detail/cpu/lanes.hpp>
#include <tka/detail/shared/softmax_sums.hpp>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu {

using softmax_sums = basic_softmax_sums<lane_math>;

/// From a score to a logit: scale, then the soft cap.
struct logit_map {
  float scale;
  float soft_cap;

  /// In place over full lanes.
  [[gnu::noinline]] void apply(float* x, int count) const noexcept {
    for (int i = 0; i < count; i += lane_count) {
      lanes s = multiply(load(x + i), splat(scale));
      if (soft_cap > 0.0f) {
        // A quotient: the reciprocal of a tiny cap is infinite, and of others it rounds twice.
        s = multiply(splat(soft_cap), hyperbolic_tangent(s / splat(soft_cap)));
      }
      store(x + i, s);
    }
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

/// Adds `next`, a later part, to `sums`. Not inlined: every caller runs the same instructions.
[[gnu::noinline]] inline void merge(softmax_sums& sums, softmax_sums const& next) noexcept {
  sums.merge(next);
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu
