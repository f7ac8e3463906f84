// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Entropy of an attention distribution from its scores.

#pragma once

#include <tka/config.hpp>

#include <cmath>
#include <cstdint>
#include <limits>

namespace tka::inline TKA_ABI {

/// - sum p ln p of softmax(scale * scores), in nats: lse - sum p * x. Selections of one row can be
/// compared by it. 0 for no scores; -inf scores do not count.
[[nodiscard]] inline double entropy(float const* scores, std::int32_t count,
                                    double scale) noexcept {
  double const nothing = -std::numeric_limits<double>::infinity();
  double largest = nothing;
  for (std::int32_t i = 0; i < count; ++i) {
    double const x = scale * static_cast<double>(scores[i]);
    largest = x > largest ? x : largest;
  }
  if (largest == nothing) return 0.0;
  double sum = 0.0;
  double weighted = 0.0;
  for (std::int32_t i = 0; i < count; ++i) {
    double const below = scale * static_cast<double>(scores[i]) - largest;
    if (below == nothing) continue;
    double const p = std::exp(below);
    sum += p;
    weighted += p * below;
  }
  return std::log(sum) - weighted / sum;
}

/// entropy / ln(count): 1 for the uniform distribution. 0 for fewer than two keys.
[[nodiscard]] inline double normalized_entropy(double entropy, std::int32_t count) noexcept {
  return count < 2 ? 0.0 : entropy / std::log(static_cast<double>(count));
}

}  // namespace tka::inline TKA_ABI
