// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// synthetic_fidelity on one selection: all competing keys, then a draw among the largest and a
/// draw, or the next ranks, among the others.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cpu/append_above.hpp>
#include <tka/detail/cpu/arithmetic.hpp>
#include <tka/detail/cpu/radix_select.hpp>
#include <tka/detail/cpu/selection/selection_row.hpp>
#include <tka/detail/shared/arena.hpp>
#include <tka/detail/shared/ordered_key.hpp>
#include <tka/detail/shared/visible_range.hpp>
#include <tka/plan.hpp>
#include <tka/select/fidelity.hpp>

#include <algorithm>
#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu {

class fidelity_selection {
 public:
  void carve(arena& memory, plan const& p) noexcept {
    carve_later(memory, p, p.shape.kv_len);
    std::int64_t const all = std::int64_t{p.shape.kv_len} + tile_keys;
    rank_key_ = memory.take<ordered_key>(all);
    rank_place_ = memory.take<std::int32_t>(all);
    top_place_ = memory.take<std::int32_t>(p.capacity);
  }
  /// For one that sees at most `keys` keys and joins another.
  void carve_later(arena& memory, plan const&, std::int32_t keys) noexcept {
    std::int64_t const all = std::int64_t{keys} + tile_keys;
    key_ = memory.take<ordered_key>(all);
    index_ = memory.take<std::int32_t>(all);
  }

  void reset(plan const& p, selection_row const& row) noexcept {
    numbers_ = p.selection.get<fidelity_numbers>();
    shard_ = p.options.shard;
    stream_ = numbers_.stream(row.query_position, row.scope_head);
    size_ = 0;
  }

  void push_tile(ordered_key const* key, std::int32_t count, std::int32_t first,
                 radix_scratch const&) noexcept {
    size_ = append_above(key, count, first, key_of_minus_infinity, key_, index_, size_);
  }

  void absorb(fidelity_selection const& later, radix_scratch const&) noexcept {
    std::copy_n(later.key_, later.size_, key_ + size_);
    std::copy_n(later.index_, later.size_, index_ + size_);
    size_ += later.size_;
  }

  [[nodiscard]] std::int32_t finish(std::int32_t keep, radix_scratch const& scratch) noexcept {
    std::int32_t const top = std::min(keep, size_);
    if (top == size_) return size_;
    if (top == 0) return 0;
    std::int32_t const kept = numbers_.kept(top, size_);
    // Places in the list stand for keys: they ascend as positions do.
    rank_all_by_key();
    (void)keep_largest(rank_key_, rank_place_, size_, top, scratch);
    std::copy_n(rank_place_, top, top_place_);
    std::int32_t const others = list_others(top);
    if (numbers_.fill == fill::random) draw_for(rank_place_, others);
    (void)keep_largest(rank_key_, rank_place_, others, top - kept, scratch);
    std::int32_t const fillers = top - kept;
    // The draw among the top has the memory after the fillers.
    std::copy_n(top_place_, top, rank_place_ + fillers);
    for (std::int32_t i = fillers; i < fillers + top; ++i) rank_key_[i] = draw_of(rank_place_[i]);
    (void)keep_largest(rank_key_ + fillers, rank_place_ + fillers, top, kept, scratch);
    std::sort(rank_place_, rank_place_ + top);
    // No place moves up, so the list is written over itself.
    for (std::int32_t i = 0; i < top; ++i) {
      key_[i] = key_[rank_place_[i]];
      index_[i] = index_[rank_place_[i]];
    }
    return top;
  }
  [[nodiscard]] ordered_key const* key() const noexcept { return key_; }
  [[nodiscard]] std::int32_t const* index() const noexcept { return index_; }

 private:
  void rank_all_by_key() noexcept {
    std::copy_n(key_, size_, rank_key_);
    for (std::int32_t i = 0; i < size_; ++i) rank_place_[i] = i;
  }

  /// All but the top, ascending, ranked by key; returns how many.
  [[nodiscard]] std::int32_t list_others(std::int32_t top) noexcept {
    std::int32_t others = 0;
    std::int32_t next = 0;
    for (std::int32_t i = 0; i < size_; ++i) {
      if (next < top && top_place_[next] == i) {
        ++next;
        continue;
      }
      rank_key_[others] = key_[i];
      rank_place_[others++] = i;
    }
    return others;
  }

  void draw_for(std::int32_t const* place, std::int32_t count) noexcept {
    for (std::int32_t i = 0; i < count; ++i) rank_key_[i] = draw_of(place[i]);
  }
  [[nodiscard]] ordered_key draw_of(std::int32_t place) const noexcept {
    return fidelity_numbers::draw(stream_, position_of(shard_, index_[place]));
  }

  ordered_key* key_ = nullptr;  // [kv_len]
  std::int32_t* index_ = nullptr;
  ordered_key* rank_key_ = nullptr;  // [kv_len] what a step ranks by
  std::int32_t* rank_place_ = nullptr;
  std::int32_t* top_place_ = nullptr;  // [capacity]
  std::int32_t size_ = 0;
  fidelity_numbers numbers_{};
  tka::shard shard_{};
  std::uint64_t stream_ = 0;
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cpu
