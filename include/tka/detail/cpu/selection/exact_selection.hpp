// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// exact_radix on one selection: candidates above a running gate.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/append_above.hpp>
#include <tka/detail/cpu/arithmetic.hpp>
#include <tka/detail/cpu/radix_select.hpp>
#include <tka/detail/cpu/selection/selection_row.hpp>
#include <tka/detail/cpu/tuning.hpp>
#include <tka/detail/shared/arena.hpp>
#include <tka/detail/shared/ordered_key.hpp>
#include <tka/plan.hpp>

#include <algorithm>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu {

/// Holds every key that may still be selected. Keys enter in ascending position; when the buffer
/// fills, the k largest stay and the k-th becomes the gate. A key at or below the gate has k
/// better ones before it, so dropping it is exact.
class exact_selection {
 public:
  /// Memory for a selection that others join.
  void carve(arena& memory, plan const& p) noexcept { carve_for(memory, p, p.shape.kv_len); }
  /// The same for one that sees at most `keys` keys and joins another.
  void carve_later(arena& memory, plan const& p, std::int32_t keys) noexcept {
    carve_for(memory, p, keys);
  }

  void reset(plan const&, selection_row const& row) noexcept {
    keep_ = row.keep;
    size_ = 0;
    gate_ = keep_ > 0 ? key_of_minus_infinity : key_of_nan;
  }

  /// `count` <= tile_keys keys at local indices first, first + 1, ...
  void push_tile(ordered_key const* key, std::int32_t count, std::int32_t first,
                 radix_scratch const& scratch) noexcept {
    make_room(count, scratch);
    size_ = append_above(key, count, first, gate_, key_, index_, size_);
  }

  /// Takes over what another selection has kept of later positions.
  void absorb(exact_selection const& later, radix_scratch const& scratch) noexcept {
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
  void carve_for(arena& memory, plan const& p, std::int32_t keys) noexcept {
    std::int64_t const slack = std::max(p.capacity, tuned.min_slack);
    std::int64_t const all = std::int64_t{keys} + tile_keys;
    room_ = static_cast<std::int32_t>(std::min<std::int64_t>(p.capacity + slack + tile_keys, all));
    key_ = memory.take<ordered_key>(room_);
    index_ = memory.take<std::int32_t>(room_);
  }

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

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu
