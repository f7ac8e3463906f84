// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// sum of softmax: after all visible keys are scored, the sums of each head and from them one
/// score for its group.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/row.cuh>
#include <tka/detail/cuda/schedule.cuh>
#include <tka/detail/cuda/tuning.cuh>
#include <tka/detail/cuda/warp/softmax.cuh>
#include <tka/detail/shared/ordered_key.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cuda {

/// The sums over the visible keys of one score head of a row; all lanes of a warp. Tiles are dealt
/// to the lanes and the lanes joined by a tree: the cut depends on the row's own tiles alone.
template <class Problem>
[[nodiscard]] __device__ softmax_sums visible_sums(row<Problem> const& own,
                                                   visible_range const& range,
                                                   std::int32_t head) noexcept {
  auto const lane = static_cast<std::int32_t>(threadIdx.x % 32);
  softmax_sums s{};
  for (std::int64_t t = lane; t * tile_keys < range.end; t += 32) {
    std::int64_t const first = t * tile_keys;
    if (!(first < range.sinks_end || first + tile_keys > range.main_begin)) continue;
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

template <class Problem>
class combine_agent {
 public:
  __device__ explicit combine_agent(context<Problem> const& c) noexcept : c_(c) {}

  /// First: lse of each head of each row.
  __device__ void measure() noexcept {
    std::int64_t const blocks = attend_blocks<Problem>(c_.p.shape);
    share const s = c_.shares[count_of::rows];
    for (std::int64_t n = s.begin; n < s.end; ++n) {
      item const at = c_.at(count_of::rows, n);
      if (at.rest % blocks != 0) continue;
      row<Problem> const own{c_, at.b, at.unit, static_cast<std::int32_t>(at.rest / blocks)};
      if (!own.exists) continue;
      compact_range const range = own.range(c_);
      for (auto h = static_cast<std::int32_t>(threadIdx.x / 32); h < c_.g.heads; h += block_warps) {
        float const lse = visible_sums(own, range.range, h).lse();
        if (threadIdx.x % 32 == 0) own.lse()[h] = lse;
      }
    }
  }

  /// Then: the sum of the heads' probabilities; a key that every head excludes stays excluded.
  __device__ void combine() noexcept {
    share const s = c_.shares[count_of::chunks];
    for (std::int64_t n = s.begin; n < s.end; ++n) {
      item const at = c_.at(count_of::chunks, n);
      std::int32_t const chunks = c_.table.entries[at.b].extent.chunks;
      row<Problem> const own{c_, at.b, at.unit, static_cast<std::int32_t>(at.rest / chunks)};
      if (!own.exists) continue;
      compact_range const range = own.range(c_);
      auto const first = static_cast<std::int32_t>(at.rest % chunks) * chunk_keys;
      auto const last = static_cast<std::int32_t>(
          smaller<std::int64_t>(range.visible(), std::int64_t{first} + chunk_keys));
      for (std::int32_t i = first + static_cast<std::int32_t>(threadIdx.x); i < last;
           i += block_threads) {
        ordered_key& key = own.scores()[i];
        if (key == key_of_nothing) continue;
        float total = minus_infinity();
        for (std::int32_t h = 0; h < c_.g.heads; ++h) {
          float const raw = own.raw(h)[i];
          if (raw == minus_infinity()) continue;
          float const p = expf(to_logit(c_.p.options, raw) - own.lse()[h]);
          total = total == minus_infinity() ? p : total + p;
        }
        key = to_ordered(total);
      }
    }
  }

 private:
  context<Problem> const& c_;
};

}  // namespace tka::inline TKA_ABI::detail::cuda
