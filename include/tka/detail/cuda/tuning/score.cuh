// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Speed of scoring: how many rows share one pass over the keys, and what the L2 keeps.

#pragma once

#include <tka/config.hpp>
#include <tka/device.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// Score rows (query heads x tokens) that share one pass over the keys; code exists for each.
inline constexpr int max_score_rows = 64;
inline constexpr int mid_score_rows = 32;
inline constexpr int few_score_rows = 8;
/// Shared memory for those rows of q.
inline constexpr int query_bytes = 25 * 1024;

struct score_tuning {
  /// Keys leave the L2 first where all that later stages read is at most this.
  std::int64_t kept_bytes = 0;
  friend constexpr bool operator==(score_tuning const&, score_tuning const&) = default;
};

/// Two fifths of the L2 stay, while keys pass through the rest (measured on an H200).
[[nodiscard]] constexpr score_tuning tune_score(cuda_device const& device) noexcept {
  return {.kept_bytes = std::int64_t{device.l2_bytes} * 2 / 5};
}
static_assert(tune_score({.l2_bytes = 60 << 20}).kept_bytes == 24 << 20);

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
