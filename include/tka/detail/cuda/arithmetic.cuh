// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What decides bits on this backend, apart from what decides speed: every kernel that makes a
/// score or a sum of values does so by these rules, whatever its threads, tiles and instructions.
///
/// A score of 16- and 8-bit rows (8-bit ones widened) is one chain of products of 16 dimensions in
/// ascending order, in one fp32 accumulator: sum = mma(k[16 i ..], q[16 i ..], sum). `mma.sync` and
/// `wgmma` give the same bits for that chain, keys as rows or as columns; another order does not,
/// so no kernel may add the steps in another one. Of fp32 rows it is a chain of fused
/// multiply-adds, a dimension a step. Where dimensions have scales, the chain of each scale's
/// dimensions begins at 0 and is folded in by total = fma(chain, scale, total), in order.
///
/// Softmax sums over visible keys are cut where tiles of keys begin: positions that are multiples
/// of `tile_keys`. Tiles are dealt to 32 lanes in turn, each lane merges its own in order, and
/// lanes are merged by a binary tree.
///
/// Sums over the values of a list are cut into parts of `part_keys` entries from its begin; a part
/// is summed tile by tile, each against the largest logit so far. 32 parts at a time are merged by
/// their maximum, then in order.
///
/// A prefill (route prefill_sm90) sums over values of all keys instead, tiles in order, those that
/// are not selected with probability 0, each against the largest score that the row sees; so its
/// sums over values, and its lse, differ in rounding from those of lists.

#pragma once

#include <tka/config.hpp>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// Dimensions of one step of a score's chain.
inline constexpr int score_step_dims = 16;

/// Keys between the cuts of sums over visible keys, and entries between those of a part's sums.
inline constexpr int tile_keys = 128;

/// Entries of a list whose attention is one partial sum.
inline constexpr int part_keys = 2 * tile_keys;

/// Parts, or lanes of tiles, that are merged at once.
inline constexpr int merge_width = 32;

static_assert(part_keys % tile_keys == 0, "a part is summed tile by tile");
static_assert(tile_keys % score_step_dims == 0 && tile_keys % 32 == 0,
              "a tile is whole steps of every warp");

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
