// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// exact_radix on one row: candidates above a running gate.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/append_above.hpp>
#include <tka/detail/cpu/radix_select.hpp>
#include <tka/detail/cpu/tile.hpp>
#include <tka/detail/shared/arena.hpp>
#include <tka/detail/shared/ordered_key.hpp>

#include <algorithm>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::cpu {

/// What a row selector is sized for.
struct selector_bounds {
  std::int32_t capacity = 0;    ///< keys kept at most
  std::int32_t kv_len = 0;      ///< keys of a row at most
  std::int32_t buckets = 0;     ///< only bucketed
  std::int32_t per_bucket = 0;  ///< only bucketed
};

/// Holds every key that may still be selected. Keys enter in ascending position; when the buffer
/// fills, the k largest stay and the k-th becomes the gate. A key at or below the gate has k
/// better ones before it, so dropping it is exact.
class exact_row {
 public:
  void carve(arena& memory, selector_bounds const& bounds) noexcept {
    // Slack beyond k: more of it, fewer selections; less of it, an earlier gate.
    std::int64_t const slack = std::max(bounds.capacity, 1024);
    std::int64_t const all = std::int64_t{bounds.kv_len} + tile_keys;
    room_ =
        static_cast<std::int32_t>(std::min<std::int64_t>(bounds.capacity + slack + tile_keys, all));
    key_ = memory.take<ordered_key>(room_);
    index_ = memory.take<std::int32_t>(room_);
  }

  void reset(std::int32_t keep, selector_bounds const&) noexcept {
    keep_ = keep;
    size_ = 0;
    gate_ = keep > 0 ? key_of_minus_infinity : key_of_nan;
  }

  /// `count` <= tile_keys keys at local indices first, first + 1, ...
  void push_tile(ordered_key const* key, std::int32_t count, std::int32_t first,
                 radix_scratch const& scratch) noexcept {
    make_room(count, scratch);
    size_ = append_above(key, count, first, gate_, key_, index_, size_);
  }

  /// Takes over what another row has kept of later positions.
  void absorb(exact_row const& later, radix_scratch const& scratch) noexcept {
    for (std::int32_t i = 0; i < later.size_; i += tile_keys) {
      std::int32_t const count = std::min(tile_keys, later.size_ - i);
      make_room(count, scratch);
      for (std::int32_t j = i; j < i + count; ++j) {
        key_[size_] = later.key_[j];
        index_[size_] = later.index_[j];
        size_ += later.key_[j] > gate_ ? 1 : 0;
      }
    }
  }

  /// Cuts down to the `keep` largest, ascending in position; returns how many there are.
  [[nodiscard]] std::int32_t finish(std::int32_t keep, radix_scratch const& scratch) noexcept {
    if (size_ > keep) {
      gate_ = keep_largest(key_, index_, size_, keep, scratch);
      size_ = keep;
    }
    return size_;
  }
  [[nodiscard]] ordered_key const* key() const noexcept { return key_; }
  [[nodiscard]] std::int32_t const* index() const noexcept { return index_; }

 private:
  void make_room(std::int32_t count, radix_scratch const& scratch) noexcept {
    if (size_ + count <= room_) return;
    if (size_ > keep_) {
      gate_ = keep_largest(key_, index_, size_, keep_, scratch);
      size_ = keep_;
    }
  }

  ordered_key* key_ = nullptr;
  std::int32_t* index_ = nullptr;
  std::int32_t room_ = 0;
  std::int32_t size_ = 0;
  std::int32_t keep_ = 0;
  ordered_key gate_ = key_of_nan;
};

}  // namespace tka::inline TKA_ABI::detail::cpu
