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

/// The keys of one row that compete, cut into interleaved buckets. As compact indices: [begin,
/// middle) are local indices too, [middle, end) lie behind the gap.
struct row_buckets {
  ordered_key* scores;
  std::int32_t begin;
  std::int32_t middle;
  std::int32_t end;
  std::int32_t gap;
  std::int32_t buckets;
  std::int32_t per_bucket;

  /// Of each bucket of [first, last) all but the largest keys leave. A block, a thread a bucket.
  __device__ void thin_out(std::int32_t first, std::int32_t last) const noexcept {
    // Few keys stay in registers.
    if (per_bucket <= 4) {
      thin_out_to<4>(first, last);
    } else if (per_bucket <= 8) {
      thin_out_to<8>(first, last);
    } else if (per_bucket <= 16) {
      thin_out_to<16>(first, last);
    } else {
      thin_out_to<most_per_bucket>(first, last);
    }
  }

 private:
  /// Keys that a thread reads before it looks at the first; few where more are kept than a recall
  /// of 0.99999 asks for: with 64 slots and 16 keys that code alone takes half of the compile time.
  template <int Most>
  static constexpr int keys_at_once = Most <= 16 ? 16 : 2;

  /// The first index at or behind `from` that is in the bucket; `offset` makes it local.
  [[nodiscard]] __device__ std::int64_t first(std::int32_t from, std::int32_t offset,
                                              std::int32_t bucket) const noexcept {
    auto const n = static_cast<std::uint32_t>(buckets);
    std::uint32_t const has = static_cast<std::uint32_t>(from + offset) % n;
    auto const wants = static_cast<std::uint32_t>(bucket);
    return std::int64_t{from} + (wants >= has ? wants - has : wants + n - has);
  }

  /// use(key[Keys], index of the first) for the bucket, ascending; at and behind the end of the
  /// keys there is nothing.
  template <int Keys, class Use>
  __device__ void each(std::int32_t bucket, Use&& use) const noexcept {
    if (begin < middle) each_of<Keys>(begin, middle, 0, bucket, use);
    if (larger(begin, middle) < end) each_of<Keys>(larger(begin, middle), end, gap, bucket, use);
  }
  template <int Keys, class Use>
  __device__ void each_of(std::int32_t from, std::int32_t to, std::int32_t offset,
                          std::int32_t bucket, Use& use) const noexcept {
    std::int64_t const first_key = first(from, offset, bucket);
    if (first_key >= to) return;
    auto const step = static_cast<std::uint32_t>(buckets);
    auto i = static_cast<std::uint32_t>(first_key);
    auto left = static_cast<std::int32_t>((static_cast<std::uint32_t>(to) - 1 - i) / step) + 1;
#pragma unroll 1
    for (; left > 0; left -= Keys, i += Keys * step) {
      ordered_key key[Keys];
#pragma unroll
      for (int j = 0; j < Keys; ++j) key[j] = j < left ? scores[i + j * step] : key_of_nothing;
      use(key, i);
    }
  }

  template <int Most>
  __device__ void thin_out_to(std::int32_t first, std::int32_t last) const noexcept {
    for (auto b = first + static_cast<std::int32_t>(threadIdx.x); b < last; b += block_threads) {
      thin_out_one<Most>(b);
    }
  }
  template <int Most>
  __device__ void thin_out_one(std::int32_t bucket) const noexcept {
    constexpr int keys = keys_at_once<Most>;
    ordered_key best[Most];  // falling
#pragma unroll
    for (int i = 0; i < Most; ++i) best[i] = key_of_nothing;
    each<keys>(bucket, [&](ordered_key const(&key)[keys], std::uint32_t) {
#pragma unroll
      for (int j = 0; j < keys; ++j) {
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
    for (int i = 0; i < Most; ++i) limit = i == per_bucket - 1 ? best[i] : limit;
    // There are no more keys than are kept.
    if (limit == key_of_nothing) return;
    std::int32_t ties = 0;
#pragma unroll
    for (int i = 0; i < Most; ++i) ties += i < per_bucket && best[i] == limit ? 1 : 0;
    each<keys>(bucket, [&](ordered_key const(&key)[keys], std::uint32_t first) {
#pragma unroll
      for (int j = 0; j < keys; ++j) {
        bool const stays = key[j] > limit || (key[j] == limit && ties-- > 0);
        if (!stays && key[j] != key_of_nothing) {
          scores[first + j * static_cast<std::uint32_t>(buckets)] = key_of_nothing;
        }
      }
    });
  }
};

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
  /// The buckets of the row that are dealt to its chunks [first, last) of `chunks`.
  __device__ void thin_out(row_record<Problem> const& next, std::int32_t first, std::int32_t last,
                           std::int32_t chunks) noexcept {
    row_rules const& rules = next.rules;
    bucketing const& given = c_.p.options.bucketing;
    row_buckets keys{};
    keys.scores = next.scores;
    keys.begin = rules.head;
    keys.middle = smaller(rules.sinks_end, rules.tail);
    keys.end = rules.tail;
    keys.gap = rules.gap;
    keys.buckets = given.buckets > 0 ? given.buckets
                                     : c_.p.bucket_rule.buckets(smaller(rules.keep, rules.visible));
    keys.per_bucket = given.buckets > 0 ? given.per_bucket : c_.p.bucket_rule.per_bucket;
    std::int64_t const buckets = keys.buckets;
    keys.thin_out(static_cast<std::int32_t>(buckets * first / chunks),
                  static_cast<std::int32_t>(buckets * last / chunks));
  }

  context<Problem> const& c_;
};

}  // namespace tka::inline TKA_ABI::detail::cuda
