// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The grain of the CPU backend.

#pragma once

#include <tka/config.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cpu {

/// Keys scored at once. Tiles begin at multiples of it, so sums over visible keys are cut at the
/// same places whatever the bounds, the batch or the workers.
inline constexpr std::int32_t tile_keys = 128;

/// Keys asked for before they are scored, also across the border of a tile.
inline constexpr std::int32_t keys_ahead = 40;

/// Selected keys attended at once.
inline constexpr std::int32_t chunk_keys = 64;

}  // namespace tka::inline TKA_ABI::detail::cpu
