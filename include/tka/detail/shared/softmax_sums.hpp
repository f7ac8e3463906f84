// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Softmax in one pass: maximum, sum and the accumulator of the entropy, and how two of them merge.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/bits.hpp>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD {

inline constexpr float minus_infinity = bits_as<float>(0xff800000u);

/// Sums over a set of logits x: max, sum of e^(x - max), sum of e^(x - max) * (x - max). The empty
/// set has sum 0. `Math` is the backend's: static exp(float) and log(float).
template <class Math>
struct basic_softmax_sums {
  float max = minus_infinity;
  float sum = 0.0f;
  float weighted = 0.0f;

  [[nodiscard]] TKA_HOST_DEVICE bool empty() const noexcept { return sum == 0.0f; }
  [[nodiscard]] TKA_HOST_DEVICE float lse() const noexcept {
    return empty() ? minus_infinity : max + Math::log(sum);
  }
  /// - sum p ln p; 0 for the empty set.
  [[nodiscard]] TKA_HOST_DEVICE float entropy() const noexcept {
    return empty() ? 0.0f : Math::log(sum) - weighted / sum;
  }
  /// Refers the sums to another maximum; returns the factor for what else was summed with them.
  TKA_HOST_DEVICE float refer_to(float new_max) noexcept {
    float const factor = empty() ? 0.0f : Math::exp(max - new_max);
    // Zero times infinity must not arise where nothing was summed yet or all of it vanishes.
    weighted = factor == 0.0f ? 0.0f : factor * (weighted + sum * (max - new_max));
    sum *= factor;
    max = new_max;
    return factor;
  }
  /// Adds a later part.
  TKA_HOST_DEVICE void merge(basic_softmax_sums other) noexcept {
    if (other.empty()) return;
    if (empty()) {
      *this = other;
      return;
    }
    float const largest = other.max > max ? other.max : max;
    refer_to(largest);
    other.refer_to(largest);
    sum += other.sum;
    weighted += other.weighted;
  }
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD
