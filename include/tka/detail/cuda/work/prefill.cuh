// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// How a prefill is cut, and what its blocks share: items of two tiles of rows, and what is known
/// of each row's threshold.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/arithmetic.cuh>
#include <tka/detail/cuda/warp/block_barrier.cuh>
#include <tka/detail/cuda/work/math.cuh>
#include <tka/detail/shared/ordered_key.hpp>
#include <tka/detail/shared/problem.hpp>
#include <tka/detail/shared/sequence.hpp>
#include <tka/plan.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

inline constexpr int warpgroup_threads = 128;
/// Rows (a query token of one query head) of a warpgroup, and of a block: two warpgroups multiply,
/// a third one copies.
inline constexpr int group_rows = 64;
inline constexpr int prefill_rows_of_block = 2 * group_rows;
inline constexpr int prefill_threads = 3 * warpgroup_threads;
inline constexpr int multiplying_threads = 2 * warpgroup_threads;
/// Scores in a band that one lane of a row can keep: four lanes share a row.
inline constexpr int band_room = 384;
inline constexpr int lanes_of_row = 4;
inline constexpr std::int64_t band_words =
    std::int64_t{prefill_rows_of_block} * lanes_of_row * band_room;

/// The parameters of a prefill's kernels.
template <class Problem>
struct prefill_work {
  plan p;
  arguments<Problem> a;
  std::int64_t* items;    ///< [batch + 1] items of all sequences before each
  std::uint32_t* ticket;  ///< the next item that no block has
  float* bands;           ///< [blocks][band_words]
};

/// Tiles of rows of one key head: the query heads of its group take turns.
template <class Problem>
[[nodiscard]] __device__ std::int64_t items_of_head(plan const& p, sequence const& s) noexcept {
  return ceil_div(ceil_div(s.queries, group_rows) * p.shape.group(), 2);
}

/// What becomes of a row's keys.
enum class row_kind : std::int32_t {
  open,      ///< not known yet
  plain,     ///< all from the threshold up
  cut,       ///< the same, but only the first of those equal to it
  all,       ///< every key above -inf
  none,      ///< no key
  some_nans  ///< only NaNs, not all of them
};

/// What is known of the rows of a block: in shared memory while thresholds are sought.
struct prefill_rows {
  template <class T>
  using each = T[prefill_rows_of_block];

  each<float> low, high;                    ///< the band of the next pass: low < score <= high
  each<std::int32_t> above;                 ///< scores above it
  each<std::int32_t[lanes_of_row]> inside;  ///< in it, by the lane that saw them
  each<float> largest;
  each<std::int32_t> end, keep;  ///< keys that are visible; that are kept
  /// The threshold is above `floor` and at most `ceiling` (ordered keys); scores above each, or -1.
  each<ordered_key> floor, ceiling;
  each<std::int32_t> above_floor, above_ceiling;
  each<std::int32_t> tries;
  each<row_kind> kind;
  each<float> threshold;
  each<std::int32_t> ties;  ///< of those equal to it, how many are kept
};

enum class prefill_task : std::int32_t { stop, keys, keys_and_values };

/// What the copying warpgroup does next.
struct prefill_command {
  prefill_task what;
  std::int32_t b;
  std::int32_t kv_head;
  std::int32_t end;     ///< keys from here on are not there
  std::int32_t stride;  ///< key n of the pass is local key offset + n * stride
  std::int32_t offset;
  std::int32_t tiles;
};

inline constexpr int scan_slots = 4;    ///< of the ring of key tiles, while scores are scanned
inline constexpr int attend_slots = 3;  ///< of each ring, while values are summed

/// Static shared memory. Only where products of warpgroups exist a kernel has it, which tells the
/// host.
struct prefill_control {
  arrival_barrier full[2 * attend_slots];
  arrival_barrier empty[2 * attend_slots];
  prefill_command command;
  /// Keys whose page does not exist, in each slot of the ring of keys; looked at once there is one.
  std::uint8_t missing[scan_slots][tile_keys];
  bool misses;
  int2 where[tile_keys];  ///< page and token of the rows under way, where there are pages
  std::uint32_t item;
  std::int32_t end;
  std::int32_t open;
};

/// Where things lie in a block's dynamic shared memory.
template <int Dim>
struct prefill_memory {
  static constexpr int half_bytes = tile_keys * 128;  ///< of 64 dimensions of a tile
  static constexpr int tile_bytes = tile_keys * Dim * 2;
  static constexpr int query_bytes = group_rows * Dim * 2;  ///< of one warpgroup
  static constexpr int query_half_bytes = group_rows * 128;
  static constexpr int ring = 2 * query_bytes;
  static constexpr int values = ring + attend_slots * tile_bytes;
  /// Scores on their way to memory: `staged` of each thread and row, one 1 KB apart.
  static constexpr int staged = 16;
  static constexpr int staged_pitch = multiplying_threads * 4;
  static constexpr int staging = ring + scan_slots * tile_bytes;
  static constexpr int rows = staging + 2 * staged * staged_pitch;
  static constexpr int bytes =
      larger(ring + 2 * attend_slots * tile_bytes, rows + static_cast<int>(sizeof(prefill_rows)));
  static constexpr int slack = 1024;  ///< its begin is rounded up to this
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
