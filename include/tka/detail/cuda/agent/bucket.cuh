// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// bucketed: of each interleaved bucket of a row all but the largest few leave the competition;
/// the selection stage then meets the survivors alone.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/row.cuh>
#include <tka/detail/cuda/schedule.cuh>
#include <tka/detail/cuda/tuning.cuh>
#include <tka/detail/shared/ordered_key.hpp>
#include <tka/options.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cuda {

/// Most keys that a bucket keeps.
inline constexpr int most_per_bucket = 64;

template <class Problem>
class bucket_agent {
 public:
  __device__ explicit bucket_agent(context<Problem> const& c) noexcept : c_(c) {}

  __device__ void run() noexcept {
    share const s = c_.shares[count_of::chunks];
    for (std::int64_t n = s.begin; n < s.end; ++n) {
      item const at = c_.at(count_of::chunks, n);
      std::int32_t const chunks = c_.table.entries[at.b].extent.chunks;
      row<Problem> const own{c_, at.b, at.unit, static_cast<std::int32_t>(at.rest / chunks)};
      if (!own.exists) continue;
      compact_range const range = own.range(c_);
      bucketing const& given = c_.p.options.bucketing;
      std::int32_t const buckets =
          given.buckets > 0 ? given.buckets : c_.p.bucket_rule.buckets(range.range.keep);
      std::int32_t const keep = given.buckets > 0 ? given.per_bucket : c_.p.bucket_rule.per_bucket;
      // The buckets of the row are dealt to its chunks; neighbours to neighbouring threads.
      auto const chunk = static_cast<std::int32_t>(at.rest % chunks);
      auto const first = static_cast<std::int32_t>(std::int64_t{buckets} * chunk / chunks);
      auto const last = static_cast<std::int32_t>(std::int64_t{buckets} * (chunk + 1) / chunks);
      for (std::int32_t b = first + static_cast<std::int32_t>(threadIdx.x); b < last;
           b += block_threads) {
        // Few keys stay in registers.
        if (keep <= 4) {
          thin_out<4>(own, range, b, buckets, keep);
        } else if (keep <= 16) {
          thin_out<16>(own, range, b, buckets, keep);
        } else {
          thin_out<most_per_bucket>(own, range, b, buckets, keep);
        }
      }
    }
  }

 private:
  /// The keys of a bucket that compete, in ascending position: use(key).
  template <class Use>
  __device__ static void each_key(row<Problem> const& own, compact_range const& range,
                                  std::int32_t bucket, std::int32_t buckets, Use&& use) noexcept {
    // Buckets count local indices; those that compete are [first, last) without the gap.
    std::int64_t const first = range.local(range.head());
    std::int64_t const last = range.range.forced_tail;
    std::int64_t i = first + (bucket - first % buckets + buckets) % buckets;
    for (; i < last; i += buckets) {
      auto const local = static_cast<std::int32_t>(i);
      if (range.range.visible(local)) use(own.scores()[range.compact(local)]);
    }
  }

  template <int Most>
  __device__ static void thin_out(row<Problem> const& own, compact_range const& range,
                                  std::int32_t bucket, std::int32_t buckets,
                                  std::int32_t keep) noexcept {
    ordered_key best[Most];  // falling
#pragma unroll
    for (int i = 0; i < Most; ++i) best[i] = key_of_nothing;
    std::int64_t all = 0;
    each_key(own, range, bucket, buckets, [&](ordered_key key) {
      ++all;
#pragma unroll
      for (int i = 0; i < Most; ++i) {
        ordered_key const less = smaller(best[i], key);
        best[i] = larger(best[i], key);
        key = less;
      }
    });
    if (all <= keep) return;
    ordered_key limit = key_of_nothing;
#pragma unroll
    for (int i = 0; i < Most; ++i) limit = i == keep - 1 ? best[i] : limit;
    std::int32_t ties = 0;
#pragma unroll
    for (int i = 0; i < Most; ++i) ties += i < keep && best[i] == limit ? 1 : 0;
    each_key(own, range, bucket, buckets, [&](ordered_key& key) {
      bool const stays = key > limit || (key == limit && ties-- > 0);
      if (!stays) key = key_of_nothing;
    });
  }

  context<Problem> const& c_;
};

}  // namespace tka::inline TKA_ABI::detail::cuda
