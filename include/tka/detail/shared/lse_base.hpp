// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// lse as a caller wants it.

#pragma once

#include <tka/config.hpp>
#include <tka/options.hpp>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD {

inline constexpr float log2_of_e = 1.44269504088896340736f;
inline constexpr float log_of_2 = 0.69314718055994530942f;

/// A natural logarithm in the base of the options.
[[nodiscard]] TKA_HOST_DEVICE inline float in_base(options const& o, float lse) noexcept {
  return o.lse_base == lse_base::two ? lse * log2_of_e : lse;
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD
