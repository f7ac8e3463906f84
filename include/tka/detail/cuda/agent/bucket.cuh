// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// bucketed: of each interleaved bucket of a row all but the largest few leave the competition;
/// the selection stage then meets the survivors alone.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/row.cuh>
#include <tka/detail/cuda/row_record.cuh>
#include <tka/detail/cuda/row_rules.cuh>
#include <tka/detail/cuda/schedule.cuh>
#include <tka/detail/cuda/tuning.cuh>
#include <tka/detail/shared/ordered_key.hpp>
#include <tka/options.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cuda {

/// Most keys that a bucket keeps.
inline constexpr int most_per_bucket = 64;

/// A thread has a bucket: neighbours in the row are neighbours in the block.
template <class Problem>
class bucket_agent {
 public:
  __device__ explicit bucket_agent(context<Problem> const& c) noexcept : c_(c) {}

  __device__ void run() noexcept {
    share const s = c_.shares[count_of::chunks];
    for (std::int64_t n = s.begin; n < s.end;) {
      item const at = c_.at(count_of::chunks, n);
      std::int32_t const chunks = c_.table.entries[at.b].extent.chunks;
      auto const r = static_cast<std::int32_t>(at.rest / chunks);
      auto const chunk = static_cast<std::int32_t>(at.rest) - r * chunks;
      auto const count =
          static_cast<std::int32_t>(smaller<std::int64_t>(chunks - chunk, s.end - n));
      auto const& next = row_record<Problem>::of(c_, c_.first_row(at.b, at.unit) + r);
      if (next.own.exists) thin_out(next, chunk, chunk + count, chunks);
      n += count;
    }
  }

 private:
  /// Keys that a thread reads before it looks at the first.
  static constexpr int keys_at_once = 16;

  /// The keys that compete, as compact indices: [begin, middle) are local indices too, [middle,
  /// end) lie behind the gap.
  struct keys_of_row {
    ordered_key* scores;
    std::int32_t begin;
    std::int32_t middle;
    std::int32_t end;
    std::int32_t gap;
    std::int32_t buckets;
    std::int32_t per_bucket;

    /// The first index at or behind `from` that is in the bucket; `offset` makes it local.
    [[nodiscard]] __device__ std::int64_t first(std::int32_t from, std::int32_t offset,
                                                std::int32_t bucket) const noexcept {
      auto const n = static_cast<std::uint32_t>(buckets);
      std::uint32_t const has = static_cast<std::uint32_t>(from + offset) % n;
      auto const wants = static_cast<std::uint32_t>(bucket);
      return std::int64_t{from} + (wants >= has ? wants - has : wants + n - has);
    }
    /// use(key[keys_at_once], index of the first) for the bucket, ascending; at and behind the end
    /// of the keys there is nothing.
    template <class Use>
    __device__ void each(std::int32_t bucket, Use&& use) const noexcept {
      if (begin < middle) each_of(begin, middle, 0, bucket, use);
      if (larger(begin, middle) < end) each_of(larger(begin, middle), end, gap, bucket, use);
    }

   private:
    template <class Use>
    __device__ void each_of(std::int32_t from, std::int32_t to, std::int32_t offset,
                            std::int32_t bucket, Use& use) const noexcept {
      std::int64_t const first_key = first(from, offset, bucket);
      if (first_key >= to) return;
      auto const step = static_cast<std::uint32_t>(buckets);
      auto i = static_cast<std::uint32_t>(first_key);
      auto left = static_cast<std::int32_t>((static_cast<std::uint32_t>(to) - 1 - i) / step) + 1;
#pragma unroll 1
      for (; left > 0; left -= keys_at_once, i += keys_at_once * step) {
        ordered_key key[keys_at_once];
#pragma unroll
        for (int j = 0; j < keys_at_once; ++j) {
          key[j] = j < left ? scores[i + j * step] : key_of_nothing;
        }
        use(key, i);
      }
    }
  };

  /// The buckets of the row that are dealt to its chunks [first, last) of `chunks`.
  __device__ void thin_out(row_record<Problem> const& next, std::int32_t first, std::int32_t last,
                           std::int32_t chunks) noexcept {
    row_rules const& rules = next.rules;
    bucketing const& given = c_.p.options.bucketing;
    keys_of_row keys{};
    keys.scores = next.scores;
    keys.begin = rules.head;
    keys.middle = smaller(rules.sinks_end, rules.tail);
    keys.end = rules.tail;
    keys.gap = rules.gap;
    keys.buckets = given.buckets > 0 ? given.buckets
                                     : c_.p.bucket_rule.buckets(smaller(rules.keep, rules.visible));
    keys.per_bucket = given.buckets > 0 ? given.per_bucket : c_.p.bucket_rule.per_bucket;
    std::int64_t const buckets = keys.buckets;
    auto const end = static_cast<std::int32_t>(buckets * last / chunks);
    for (auto b = static_cast<std::int32_t>(buckets * first / chunks + threadIdx.x); b < end;
         b += block_threads) {
      // Few keys stay in registers.
      if (keys.per_bucket <= 4) {
        thin_out<4>(keys, b);
      } else if (keys.per_bucket <= 8) {
        thin_out<8>(keys, b);
      } else if (keys.per_bucket <= 16) {
        thin_out<16>(keys, b);
      } else {
        thin_out<most_per_bucket>(keys, b);
      }
    }
  }

  template <int Most>
  __device__ static void thin_out(keys_of_row const& keys, std::int32_t bucket) noexcept {
    ordered_key best[Most];  // falling
#pragma unroll
    for (int i = 0; i < Most; ++i) best[i] = key_of_nothing;
    keys.each(bucket, [&](ordered_key const(&key)[keys_at_once], std::uint32_t) {
#pragma unroll
      for (int j = 0; j < keys_at_once; ++j) {
        ordered_key next = key[j];
        if (next <= best[Most - 1]) continue;
#pragma unroll
        for (int i = 0; i < Most; ++i) {
          ordered_key const less = smaller(best[i], next);
          best[i] = larger(best[i], next);
          next = less;
        }
      }
    });
    ordered_key limit = key_of_nothing;
#pragma unroll
    for (int i = 0; i < Most; ++i) limit = i == keys.per_bucket - 1 ? best[i] : limit;
    // There are no more keys than are kept.
    if (limit == key_of_nothing) return;
    std::int32_t ties = 0;
#pragma unroll
    for (int i = 0; i < Most; ++i) ties += i < keys.per_bucket && best[i] == limit ? 1 : 0;
    keys.each(bucket, [&](ordered_key const(&key)[keys_at_once], std::uint32_t first) {
#pragma unroll
      for (int j = 0; j < keys_at_once; ++j) {
        bool const stays = key[j] > limit || (key[j] == limit && ties-- > 0);
        if (!stays && key[j] != key_of_nothing) {
          keys.scores[first + j * static_cast<std::uint32_t>(keys.buckets)] = key_of_nothing;
        }
      }
    });
  }

  context<Problem> const& c_;
};

}  // namespace tka::inline TKA_ABI::detail::cuda
