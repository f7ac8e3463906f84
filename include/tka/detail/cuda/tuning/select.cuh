// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Speed of selecting: what one block selects alone, and how blocks form teams.

#pragma once

#include <tka/config.hpp>
#include <tka/device.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// Keys of a slot whose heads a block joins at a time, or for which it has a share of the buckets.
inline constexpr int chunk_keys = 4096;
/// Blocks that select one slot together, at most.
inline constexpr int max_team = 64;
/// Blocks that select which a multiprocessor holds, at most.
inline constexpr int max_select_blocks = 4;

struct select_tuning {
  /// Keys that one block selects alone, at most: where there are slots for all multiprocessors...
  std::int32_t block_keys = 0;
  /// ...and where there are fewer.
  std::int32_t block_keys_when_few = 0;
  friend constexpr bool operator==(select_tuning const&, select_tuning const&) = default;
};

/// What one block counts in the time that a team's barriers take (measured on an H200).
[[nodiscard]] constexpr select_tuning tune_select(cuda_device const&) noexcept {
  return {.block_keys = 8192, .block_keys_when_few = 2048};
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
