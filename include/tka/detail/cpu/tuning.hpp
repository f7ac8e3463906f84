// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Numbers that change the speed of the CPU backend and no result.

#pragma once

#include <tka/config.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu {

struct tuning {
  /// Keys asked for before they are scored, also across the border of a tile.
  std::int32_t keys_ahead = 40;
  /// Keys that stay in the first-level cache while all score rows pass.
  std::int32_t near_keys = 32;
  /// Score rows that share each widened key; beyond some tens nothing more is gained.
  std::int32_t rows_together = 64;
  /// Fewer score rows are not worth a unit that a thread more could take.
  std::int32_t min_rows_together = 16;
  /// Tiles of a split, at least.
  std::int32_t min_split_tiles = 4;
  /// Query heads attended together when they share a selection.
  std::int32_t attend_heads = 16;
  /// Candidates of an exact selection beyond its k, at least: more of them, fewer radix selects;
  /// fewer of them, an earlier gate.
  std::int32_t min_slack = 1024;
  friend constexpr bool operator==(tuning const&, tuning const&) = default;
};

inline constexpr tuning tuned{};

/// Query tokens scored together, at most: buffers have room for them.
inline constexpr std::int32_t max_query_tile = 64;

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu
