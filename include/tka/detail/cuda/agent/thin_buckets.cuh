// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// bucketed: of each interleaved bucket of a slot all but the largest few leave the competition;
/// the selection stage then meets the survivors alone.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/tuning/block.cuh>
#include <tka/detail/cuda/work/math.cuh>
#include <tka/detail/cuda/work/schedule.cuh>
#include <tka/detail/cuda/work/selection_rules.cuh>
#include <tka/detail/cuda/work/slot_record.cuh>
#include <tka/detail/cuda/work/view.cuh>
#include <tka/detail/cuda/work/wave.cuh>
#include <tka/detail/shared/ordered_key.hpp>
#include <tka/select/bucket_recall.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// Max keys that a bucket keeps.
inline constexpr int max_per_bucket = 64;

/// The keys of one slot that compete, cut into interleaved buckets. As compact indices: [begin,
/// middle) are local indices too, [middle, end) lie after the gap.
struct slot_buckets {
  ordered_key* scores;
  std::int32_t begin;
  std::int32_t middle;
  std::int32_t end;
  std::int32_t offset;            ///< a local index less the compact one
  std::int32_t offset_after_gap;  ///< the same from `middle` on
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
      thin_out_to<max_per_bucket>(first, last);
    }
  }

 private:
  /// Keys that a thread reads before it looks at the first; few where more are kept than a recall
  /// of 0.99999 asks for: with 64 slots and 16 keys that code alone takes half of the compile time.
  template <int Max>
  static constexpr int keys_at_once = Max <= 16 ? 16 : 2;

  /// The first index at or after `from` that is in the bucket; `offset` makes it local.
  [[nodiscard]] __device__ std::int64_t first(std::int32_t from, std::int32_t offset,
                                              std::int32_t bucket) const noexcept {
    auto const n = static_cast<std::uint32_t>(buckets);
    std::uint32_t const has = static_cast<std::uint32_t>(from + offset) % n;
    auto const wants = static_cast<std::uint32_t>(bucket);
    return std::int64_t{from} + (wants >= has ? wants - has : wants + n - has);
  }

  /// use(key[Keys], index of the first) for the bucket, ascending; at and after the end of the
  /// keys there is nothing.
  template <int Keys, class Use>
  __device__ void each(std::int32_t bucket, Use&& use) const noexcept {
    if (begin < middle) each_of<Keys>(begin, middle, offset, bucket, use);
    if (larger(begin, middle) < end)
      each_of<Keys>(larger(begin, middle), end, offset_after_gap, bucket, use);
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

  template <int Max>
  __device__ void thin_out_to(std::int32_t first, std::int32_t last) const noexcept {
    for (auto b = first + static_cast<std::int32_t>(threadIdx.x); b < last; b += block_threads) {
      thin_out_one<Max>(b);
    }
  }
  template <int Max>
  __device__ void thin_out_one(std::int32_t bucket) const noexcept {
    constexpr int keys = keys_at_once<Max>;
    ordered_key best[Max];  // falling
#pragma unroll
    for (int i = 0; i < Max; ++i) best[i] = key_of_nothing;
    each<keys>(bucket, [&](ordered_key const(&key)[keys], std::uint32_t) {
#pragma unroll
      for (int j = 0; j < keys; ++j) {
        ordered_key next = key[j];
        if (next <= best[Max - 1]) continue;
#pragma unroll
        for (int i = 0; i < Max; ++i) {
          ordered_key const less = smaller(best[i], next);
          best[i] = larger(best[i], next);
          next = less;
        }
      }
    });
    ordered_key limit = key_of_nothing;
#pragma unroll
    for (int i = 0; i < Max; ++i) limit = i == per_bucket - 1 ? best[i] : limit;
    // There are no more keys than are kept.
    if (limit == key_of_nothing) return;
    std::int32_t ties = 0;
#pragma unroll
    for (int i = 0; i < Max; ++i) ties += i < per_bucket && best[i] == limit ? 1 : 0;
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

/// A thread has a bucket: neighbours in the slot are neighbours in the block.
template <class Problem>
class thin_buckets_agent {
 public:
  __device__ thin_buckets_agent(wave_view<Problem> const& c, bucket_rule const& rule) noexcept
      : c_(c), rule_(rule) {}

  __device__ void run() noexcept {
    share const s = c_.shares[count_of::chunks];
    for (std::int64_t n = s.begin; n < s.end;) {
      item const at = c_.at(count_of::chunks, n);
      std::int32_t const chunks = c_.table.entries[at.b].extent.chunks;
      auto const r = static_cast<std::int32_t>(at.rest / chunks);
      auto const chunk = static_cast<std::int32_t>(at.rest) - r * chunks;
      auto const count =
          static_cast<std::int32_t>(smaller<std::int64_t>(chunks - chunk, s.end - n));
      auto const& next = slot_record<Problem>::of(c_, c_.first_slot(at.b, at.unit) + r);
      if (next.own.exists) thin_out(next, chunk, chunk + count, chunks);
      n += count;
    }
  }

 private:
  /// The buckets of the slot that are dealt to its chunks [first, last) of `chunks`.
  __device__ void thin_out(slot_record<Problem> const& next, std::int32_t first, std::int32_t last,
                           std::int32_t chunks) noexcept {
    selection_rules const& rules = next.rules;
    slot_buckets keys{};
    keys.scores = next.scores;
    keys.begin = rules.head;
    keys.middle = smaller(rules.sinks, rules.tail);
    keys.end = rules.tail;
    keys.offset = rules.first;
    keys.offset_after_gap = rules.first + rules.gap;
    keys.buckets = rule_.buckets(smaller(rules.keep, rules.visible));
    keys.per_bucket = rule_.per_bucket;
    std::int64_t const buckets = keys.buckets;
    keys.thin_out(static_cast<std::int32_t>(buckets * first / chunks),
                  static_cast<std::int32_t>(buckets * last / chunks));
  }

  wave_view<Problem> const& c_;
  bucket_rule const& rule_;
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
