// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Threads of a block and the buffers between memory and its warps.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/arithmetic.cuh>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// Blocks whose warps work together.
inline constexpr int block_threads = 256;
inline constexpr int block_warps = block_threads / 32;
/// Blocks whose warps work alone: small, so that they also fit where a multiprocessor has less
/// shared memory.
inline constexpr int small_block_threads = 128;
/// Of the kernel that loops over waves, a multiprocessor holds at most.
inline constexpr int loop_blocks = 2;

/// Rows travel to shared memory in slices: this many bytes of each key of a tile.
inline constexpr int slice_bytes = 128;
inline constexpr int slice_size = tile_keys * slice_bytes;
/// Slices on their way, where the shared memory of a block allows it.
inline constexpr int max_buffers = 3;
inline constexpr int min_buffers = 2;
/// Stages of a ring that belongs to one warp.
inline constexpr int ring_depth = 3;
inline constexpr int short_ring_depth = 2;

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
