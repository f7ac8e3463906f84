// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// How much of the softmax a selection keeps.

#pragma once

#include <tka/config.hpp>

#include <cmath>
#include <limits>

namespace tka::inline TKA_ABI {

/// exp(lse of the selected - lse of all visible keys): 1 - the total variation distance between
/// the full and the truncated distribution (arXiv 2512.07647). 1 where nothing is visible.
[[nodiscard]] inline double retained_mass(double lse, double lse_visible) noexcept {
  if (lse_visible == -std::numeric_limits<double>::infinity()) return 1.0;
  return std::exp(lse - lse_visible);
}

/// KL(truncated || full) = lse_visible - lse, in nats.
[[nodiscard]] inline double truncation_divergence(double lse, double lse_visible) noexcept {
  if (lse_visible == -std::numeric_limits<double>::infinity()) return 0.0;
  return lse_visible - lse;
}

}  // namespace tka::inline TKA_ABI
