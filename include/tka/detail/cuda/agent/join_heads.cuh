// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// sum of softmax: after all visible keys are scored, the sums of each head and from them one
/// score for its group.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/arithmetic.cuh>
#include <tka/detail/cuda/tuning/block.cuh>
#include <tka/detail/cuda/tuning/select.cuh>
#include <tka/detail/cuda/warp/softmax.cuh>
#include <tka/detail/cuda/work/geometry.cuh>
#include <tka/detail/cuda/work/math.cuh>
#include <tka/detail/cuda/work/schedule.cuh>
#include <tka/detail/cuda/work/slot.cuh>
#include <tka/detail/cuda/work/view.cuh>
#include <tka/detail/cuda/work/visible_sums.cuh>
#include <tka/detail/cuda/work/wave.cuh>
#include <tka/detail/shared/ordered_key.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

template <class Problem>
class join_heads_agent {
 public:
  __device__ explicit join_heads_agent(wave_view<Problem> const& c) noexcept : c_(c) {}

  /// First: lse of each head of each slot.
  __device__ void measure() noexcept {
    std::int64_t const blocks = attend_blocks<Problem>(c_.p.shape);
    share const s = c_.shares[count_of::slots];
    for (std::int64_t n = s.begin; n < s.end; ++n) {
      item const at = c_.at(count_of::slots, n);
      if (at.rest % blocks != 0) continue;
      slot<Problem> const own{c_, at.b, at.unit, static_cast<std::int32_t>(at.rest / blocks)};
      if (!own.exists) continue;
      compact_range const range = own.range(c_);
      for (auto h = static_cast<std::int32_t>(threadIdx.x / 32); h < c_.g.heads; h += block_warps) {
        float const lse = visible_sums(own, range.range, h).lse();
        if (threadIdx.x % 32 == 0) own.lse()[h] = lse;
      }
    }
  }

  /// Then: the sum of the heads' probabilities; a key that every head excludes stays excluded.
  __device__ void join() noexcept {
    share const s = c_.shares[count_of::chunks];
    for (std::int64_t n = s.begin; n < s.end; ++n) {
      item const at = c_.at(count_of::chunks, n);
      std::int32_t const chunks = c_.table.entries[at.b].extent.chunks;
      slot<Problem> const own{c_, at.b, at.unit, static_cast<std::int32_t>(at.rest / chunks)};
      if (!own.exists) continue;
      compact_range const range = own.range(c_);
      auto const first = static_cast<std::int32_t>(at.rest % chunks) * chunk_keys;
      auto const last = static_cast<std::int32_t>(
          smaller<std::int64_t>(range.visible(), std::int64_t{first} + chunk_keys));
      for (std::int32_t i = first + static_cast<std::int32_t>(threadIdx.x); i < last;
           i += block_threads) {
        ordered_key& key = own.scores()[i];
        if (key == key_of_nothing) continue;
        float total = minus_infinity;
        for (std::int32_t h = 0; h < c_.g.heads; ++h) {
          float const raw = own.raw(h)[i];
          if (raw == minus_infinity) continue;
          float const p = expf(to_logit(c_.p.options, raw) - own.lse()[h]);
          total = total == minus_infinity ? p : total + p;
        }
        key = to_ordered(total);
      }
    }
  }

 private:
  wave_view<Problem> const& c_;
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
