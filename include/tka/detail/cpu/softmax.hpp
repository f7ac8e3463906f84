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

#include <algorithm>
#include <cstdint>

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

/// The sums over one tile of scores, of which `count` exist; visible(j) says which of them count.
template <class Visible>
[[nodiscard]] inline softmax_sums sums_of_tile(logit_map const& to_logit, float const* score,
                                               std::int32_t count, Visible&& visible) noexcept {
  alignas(64) float logit[tile_keys];
  std::copy_n(score, count, logit);
  std::fill(logit + count, logit + tile_keys, minus_infinity);
  to_logit.apply(logit, tile_keys);
  for (std::int32_t j = 0; j < tile_keys; ++j) {
    if (j >= count || !visible(j)) logit[j] = minus_infinity;
  }
  softmax_sums part{};
  (void)accumulate(part, logit, tile_keys);
  return part;
}

/// Turns `count` scores of a step into weights, in place (there is room for step_keys), and adds
/// them to `sums`. Returns what earlier sums of values must be multiplied by.
[[nodiscard]] inline float add_step(softmax_sums& sums, logit_map const& to_logit, float* x,
                                    std::int32_t count) noexcept {
  // After the last key stand no logits: first something harmless, then nothing.
  std::fill(x + count, x + step_keys, 0.0f);
  to_logit.apply(x, step_keys);
  std::fill(x + count, x + step_keys, minus_infinity);
  return accumulate(sums, x, step_keys);
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu
