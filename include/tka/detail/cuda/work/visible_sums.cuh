// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Softmax sums over the visible keys of a slot, from those that scoring left for each tile.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/arithmetic.cuh>
#include <tka/detail/cuda/warp/softmax.cuh>
#include <tka/detail/cuda/work/slot.cuh>
#include <tka/detail/shared/visible_range.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// The sums over the visible keys of one score head of a slot; all lanes of a warp. Tiles are dealt
/// to the lanes and the lanes joined by a tree: the cut depends on the slot's own tiles alone.
template <class Problem>
[[nodiscard]] __device__ softmax_sums visible_sums(slot<Problem> const& own,
                                                   visible_range const& range,
                                                   std::int32_t head) noexcept {
  auto const lane = static_cast<std::int32_t>(threadIdx.x % 32);
  softmax_sums s{};
  for (std::int64_t t = lane; t * tile_keys < range.end; t += 32) {
    std::int64_t const first = t * tile_keys;
    if (!range.touches(first, tile_keys)) continue;
    float const* const part = own.sums(head, static_cast<std::int32_t>(t));
    s.merge({part[0], part[1], part[2]});
  }
#pragma unroll
  for (int step = 1; step < 32; step *= 2) {
    softmax_sums const other{__shfl_down_sync(0xffffffffu, s.max, step),
                             __shfl_down_sync(0xffffffffu, s.sum, step),
                             __shfl_down_sync(0xffffffffu, s.weighted, step)};
    if (lane % (2 * step) == 0) s.merge(other);
  }
  return {__shfl_sync(0xffffffffu, s.max, 0), __shfl_sync(0xffffffffu, s.sum, 0),
          __shfl_sync(0xffffffffu, s.weighted, 0)};
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
