// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Which keys a row may see, which are forced, and how many it keeps.

#pragma once

#include <tka/config.hpp>
#include <tka/form.hpp>
#include <tka/options.hpp>

#include <algorithm>
#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail {

/// The position in the whole sequence of a shard's key.
[[nodiscard]] TKA_HOST_DEVICE constexpr std::int64_t position_of(shard const& s,
                                                                 std::int64_t local) noexcept {
  if (s.count == 1) return local;
  return (local / s.block * s.count + s.index) * s.block + local % s.block;
}

/// How many keys of a shard lie below `position`: the local index of the first that does not.
[[nodiscard]] TKA_HOST_DEVICE constexpr std::int64_t local_below(shard const& s,
                                                                 std::int64_t position) noexcept {
  if (s.count == 1) return position;
  std::int64_t const round = std::int64_t{s.block} * s.count;
  std::int64_t const rest = position % round - std::int64_t{s.block} * s.index;
  std::int64_t const part = rest < 0 ? 0 : rest > s.block ? s.block : rest;
  return position / round * s.block + part;
}

/// The keys of one row as local indices. Visible: [0, sinks_end) and [main_begin, end). Forced:
/// [0, forced_head) and [forced_tail, end). The rest competes.
struct visible_range {
  std::int32_t sinks_end = 0;   ///< visible because they are sinks
  std::int32_t main_begin = 0;  ///< first visible key behind the gap, >= sinks_end
  std::int32_t end = 0;
  std::int32_t forced_head = 0;  ///< beyond sinks_end where the sinks are visible anyway
  std::int32_t forced_tail = 0;  ///< >= main_begin
  std::int32_t keep = 0;         ///< k of this row, at most the plan's capacity

  [[nodiscard]] TKA_HOST_DEVICE constexpr std::int32_t keys() const noexcept {
    return end - (main_begin - sinks_end);
  }
  [[nodiscard]] TKA_HOST_DEVICE constexpr bool visible(std::int32_t i) const noexcept {
    return i >= 0 && i < end && (i < sinks_end || i >= main_begin);
  }
  [[nodiscard]] TKA_HOST_DEVICE constexpr bool forced(std::int32_t i) const noexcept {
    return i < forced_head || i >= forced_tail;
  }
};

struct row_budget {
  std::int32_t k;         ///< as given for this sequence, or -1: options.budget
  std::int32_t capacity;  ///< of the selection
};

/// The range of the query token at `position` in a sequence of `length` keys.
template <class Visibility>
[[nodiscard]] TKA_HOST_DEVICE constexpr visible_range visible_range_of(std::int64_t position,
                                                                       std::int64_t length,
                                                                       options const& o,
                                                                       row_budget budget) noexcept {
  auto const clamp = [](std::int64_t x, std::int64_t low, std::int64_t high) {
    return x < low ? low : x > high ? high : x;
  };
  // A query before the first position (q_len > kv_len) sees nothing.
  std::int64_t const end = std::is_same_v<Visibility, visibility::all> && position >= 0
                               ? length
                               : clamp(position + 1, 0, length);
  std::int64_t begin = 0;
  if constexpr (std::is_same_v<Visibility, visibility::sliding_window>) {
    begin = clamp(position + 1 - o.window, 0, end);
  }
  // The last keys count from the last visible one; what is forced is also visible.
  std::int64_t const recent_begin = end > o.recent ? end - o.recent : 0;
  if (recent_begin < begin) begin = recent_begin;
  std::int64_t const sinks = o.sinks < begin ? o.sinks : begin;

  std::int64_t const visible = sinks + (end - begin);
  std::int64_t keep = budget.k >= 0 ? budget.k : o.budget.of(static_cast<std::int32_t>(visible));
  keep = clamp(keep, 0, budget.capacity);
  // A budget from the device may be too small for the forced keys: the recent ones come first.
  std::int64_t const recent = clamp(end - recent_begin, 0, keep);
  std::int64_t const tail = end - recent;
  std::int64_t const head = clamp(o.sinks < tail ? o.sinks : tail, 0, keep - recent);

  auto const narrow = [](std::int64_t n) { return static_cast<std::int32_t>(n); };
  visible_range r{narrow(sinks), narrow(begin), narrow(end),
                  narrow(head),  narrow(tail),  narrow(keep)};
  if (o.shard.count != 1) {
    r.sinks_end = narrow(local_below(o.shard, sinks));
    r.main_begin = narrow(local_below(o.shard, begin));
    r.end = narrow(local_below(o.shard, end));
    r.forced_head = narrow(local_below(o.shard, head));
    r.forced_tail = narrow(local_below(o.shard, tail));
  }
  return r;
}

}  // namespace tka::inline TKA_ABI::detail
