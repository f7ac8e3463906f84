// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// bucketed on one row: the largest few of each interleaved bucket.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/exact_row.hpp>
#include <tka/detail/cpu/radix_select.hpp>
#include <tka/detail/shared/arena.hpp>
#include <tka/detail/shared/ordered_key.hpp>

#include <algorithm>
#include <cstdint>
#include <utility>

namespace tka::inline TKA_ABI::detail::cpu {

/// Bucket of local index i: i mod buckets. Each holds its best keys in falling order, the earlier
/// of equal ones first. Level j of all buckets lies together, so a run of keys meets a run of
/// floors.
class bucketed_row {
 public:
  void carve(arena& memory, selector_bounds const& bounds) noexcept {
    std::int64_t const all = std::int64_t{bounds.buckets} * bounds.per_bucket;
    key_ = memory.take<ordered_key>(all);
    index_ = memory.take<std::int32_t>(all);
    survivor_ = memory.take<std::uint64_t>(all);
    sorted_ = memory.take<std::uint64_t>(all);
    out_key_ = memory.take<ordered_key>(all);
    out_index_ = memory.take<std::int32_t>(all);
  }

  /// `bounds.buckets` and `per_bucket` are this row's own here.
  void reset(std::int32_t keep, selector_bounds const& bounds) noexcept {
    buckets_ = keep > 0 ? bounds.buckets : 0;
    levels_ = bounds.per_bucket;
    std::fill_n(key_, std::int64_t{buckets_} * levels_, key_of_minus_infinity);
  }

  void push_tile(ordered_key const* key, std::int32_t count, std::int32_t first,
                 radix_scratch const&) noexcept {
    if (buckets_ == 0) return;
    std::int32_t bucket = first % buckets_;
    for (std::int32_t i = 0; i < count;) {
      std::int32_t const run = std::min(count - i, buckets_ - bucket);
      push_run(key + i, run, first + i, bucket);
      i += run;
      bucket = 0;
    }
  }

  void absorb(bucketed_row const& later, radix_scratch const&) noexcept {
    for (std::int32_t level = 0; level < levels_; ++level) {
      std::int64_t const at = std::int64_t{level} * buckets_;
      for (std::int32_t bucket = 0; bucket < buckets_; ++bucket) {
        insert(later.key_[at + bucket], later.index_[at + bucket], bucket);
      }
    }
  }

  [[nodiscard]] std::int32_t finish(std::int32_t keep, radix_scratch const& scratch) noexcept {
    // Into ascending positions first: then ties and the order of the list are those of exact_radix.
    std::int64_t survivors = 0;
    for (std::int64_t i = 0; i < std::int64_t{buckets_} * levels_; ++i) {
      if (key_[i] <= key_of_minus_infinity) continue;
      survivor_[survivors++] = (std::uint64_t{static_cast<std::uint32_t>(index_[i])} << 32) |
                               static_cast<std::uint32_t>(key_[i]);
    }
    sort_by_index(survivors, scratch.histogram);
    for (std::int64_t i = 0; i < survivors; ++i) {
      out_index_[i] = static_cast<std::int32_t>(survivor_[i] >> 32);
      out_key_[i] = static_cast<ordered_key>(static_cast<std::uint32_t>(survivor_[i]));
    }
    auto const count = static_cast<std::int32_t>(survivors);
    if (count <= keep) return count;
    (void)keep_largest(out_key_, out_index_, count, keep, scratch);
    return keep;
  }
  [[nodiscard]] ordered_key const* key() const noexcept { return out_key_; }
  [[nodiscard]] std::int32_t const* index() const noexcept { return out_index_; }

 private:
  void push_run(ordered_key const* key, std::int32_t count, std::int32_t first,
                std::int32_t bucket) noexcept {
    ordered_key const* const floor = key_ + std::int64_t{levels_ - 1} * buckets_ + bucket;
    constexpr std::int32_t block = 16;
    for (std::int32_t i = 0; i < count; i += block) {
      std::int32_t const n = std::min(block, count - i);
      bool any = false;
      for (std::int32_t j = 0; j < n; ++j) any |= key[i + j] > floor[i + j];
      if (!any) continue;
      for (std::int32_t j = 0; j < n; ++j) insert(key[i + j], first + i + j, bucket + i + j);
    }
  }

  /// Radix sort from the low digit up: buckets hold positions in no order.
  void sort_by_index(std::int64_t count, std::uint32_t* histogram) noexcept {
    constexpr int digit = 11;
    std::uint64_t largest = 0;
    for (std::int64_t i = 0; i < count; ++i) largest = std::max(largest, survivor_[i] >> 32);
    for (int low = 0; low < 32 && (largest >> low) != 0; low += digit) {
      auto const digit_of = [low](std::uint64_t x) {
        return (x >> (32 + low)) & ((1u << digit) - 1u);
      };
      std::fill_n(histogram, 1 << digit, 0u);
      for (std::int64_t i = 0; i < count; ++i) ++histogram[digit_of(survivor_[i])];
      std::uint32_t before = 0;
      for (int d = 0; d < (1 << digit); ++d) {
        std::uint32_t const here = histogram[d];
        histogram[d] = before;
        before += here;
      }
      for (std::int64_t i = 0; i < count; ++i) {
        sorted_[histogram[digit_of(survivor_[i])]++] = survivor_[i];
      }
      std::swap(survivor_, sorted_);
    }
  }

  void insert(ordered_key key, std::int32_t index, std::int32_t bucket) noexcept {
    std::int64_t level = levels_ - 1;
    std::int64_t at = level * buckets_ + bucket;
    if (key <= key_[at]) return;
    for (; level > 0 && key_[at - buckets_] < key; --level, at -= buckets_) {
      key_[at] = key_[at - buckets_];
      index_[at] = index_[at - buckets_];
    }
    key_[at] = key;
    index_[at] = index;
  }

  ordered_key* key_ = nullptr;  // [levels][buckets]
  std::int32_t* index_ = nullptr;
  std::uint64_t* survivor_ = nullptr;  // index and key in one
  std::uint64_t* sorted_ = nullptr;
  ordered_key* out_key_ = nullptr;
  std::int32_t* out_index_ = nullptr;
  std::int32_t buckets_ = 0;
  std::int32_t levels_ = 0;
};

}  // namespace tka::inline TKA_ABI::detail::cpu
