// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The grain of the CUDA backend. Constants under `meaning` decide where sums are cut, so they are
/// part of the results; those under `speed` are not.

#pragma once

#include <tka/config.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cuda {

// ---- meaning ------------------------------------------------------------------------------------

/// Keys scored at once; tiles begin at multiples of it, so sums over visible keys are cut there.
inline constexpr int tile_keys = 128;
/// Entries of a list whose attention is summed in one go; the parts of a row are merged in order.
inline constexpr int part_keys = 2 * tile_keys;

// ---- speed --------------------------------------------------------------------------------------

inline constexpr int block_threads = 256;
inline constexpr int block_warps = block_threads / 32;
inline constexpr int blocks_per_multiprocessor = 2;

/// Keys travel to shared memory in slices: this many bytes of each key of a tile.
inline constexpr int slice_bytes = 128;
inline constexpr int slice_size = tile_keys * slice_bytes;
/// Slices in flight, where the shared memory of a block allows it.
inline constexpr int most_stages = 3;
inline constexpr int least_stages = 2;

/// Score rows (query heads x tokens) that share one pass over the keys; code exists for each.
inline constexpr int most_rows = 64;
inline constexpr int some_rows = 32;
inline constexpr int few_rows = 8;
/// Shared memory for those rows of q.
inline constexpr int query_bytes = 25 * 1024;

/// Keys of a row whose heads a block combines at a time, or for which it has a share of the
/// buckets.
inline constexpr int chunk_keys = 4096;
/// Longest row that one block selects on its own: where there are rows for all blocks, and where
/// there are fewer.
inline constexpr int most_keys_of_a_block = 8192;
inline constexpr int least_keys_of_a_block = 2048;
/// Blocks that select one row together, at most.
inline constexpr int most_team = 64;
/// Query heads with one selection that are attended together.
inline constexpr int attend_heads = 16;

/// Head sizes that the buffers hold.
inline constexpr int most_qk_dim = 576;
inline constexpr int most_v_dim = 512;

}  // namespace tka::inline TKA_ABI::detail::cuda
