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

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD {

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

/// The keys of one row as local indices. It spans [first, sinks_end) and [main_begin, end). Forced:
/// [first, forced_head) and [forced_tail, end). The rest competes. Of the drafts among them those
/// are visible whose bit is set.
struct visible_range {
  std::int32_t first = 0;
  std::int32_t sinks_end = 0;   ///< visible because they are sinks
  std::int32_t main_begin = 0;  ///< first visible key after the gap, >= sinks_end
  std::int32_t end = 0;
  std::int32_t forced_head = 0;  ///< beyond sinks_end where the sinks are visible anyway
  std::int32_t forced_tail = 0;  ///< >= main_begin
  std::int32_t keep = 0;         ///< k of this row, at most the plan's capacity
  std::int32_t drafts_begin = 0x7fffffff;
  std::uint64_t drafts = 0;  ///< bit i: key drafts_begin + i is visible

  /// How many keys it spans.
  [[nodiscard]] TKA_HOST_DEVICE constexpr std::int32_t keys() const noexcept {
    return end - first - (main_begin - sinks_end);
  }
  [[nodiscard]] TKA_HOST_DEVICE constexpr bool spans(std::int32_t i) const noexcept {
    return i >= first && i < end && (i < sinks_end || i >= main_begin);
  }
  [[nodiscard]] TKA_HOST_DEVICE constexpr bool visible(std::int32_t i) const noexcept {
    return spans(i) && (i < drafts_begin || (drafts >> (i - drafts_begin) & 1u) != 0);
  }
  /// Whether it spans any of these keys.
  [[nodiscard]] TKA_HOST_DEVICE constexpr bool touches(std::int64_t from,
                                                       std::int64_t count) const noexcept {
    return from < end && from + count > first && (from < sinks_end || from + count > main_begin);
  }
  /// Whether all of these keys are visible, and none of them is a sink before the gap.
  [[nodiscard]] TKA_HOST_DEVICE constexpr bool all_visible(std::int32_t from,
                                                           std::int32_t count) const noexcept {
    return from >= main_begin && from + count <= end && from + count <= drafts_begin;
  }
  [[nodiscard]] TKA_HOST_DEVICE constexpr bool forced(std::int32_t i) const noexcept {
    return i < forced_head || i >= forced_tail;
  }
};

/// What the caller's masks say of one row.
struct row_mask {
  std::int64_t begin = 0;
  std::int64_t end = 0x7fffffff;
  std::int32_t draft_keys = 0;
  std::uint64_t drafts = 0;
};

/// Counts visible keys where the last ones are drafts, of which some are hidden.
struct draft_walk {
  std::int64_t begin;  ///< of the drafts; not below any position where there are none
  std::uint64_t drafts;

  [[nodiscard]] TKA_HOST_DEVICE constexpr bool visible(std::int64_t i) const noexcept {
    return i < begin || (drafts >> (i - begin) & 1u) != 0;
  }
  /// Of [from, to).
  [[nodiscard]] TKA_HOST_DEVICE constexpr std::int64_t count(std::int64_t from,
                                                             std::int64_t to) const noexcept {
    std::int64_t n = to - from;
    for (std::int64_t i = from > begin ? from : begin; i < to; ++i) n -= visible(i) ? 0 : 1;
    return n;
  }
  /// Where the last `n` visible ones of [from, to) begin, or `from` if there are fewer.
  [[nodiscard]] TKA_HOST_DEVICE constexpr std::int64_t last(std::int64_t n, std::int64_t from,
                                                            std::int64_t to) const noexcept {
    for (; n > 0 && to > from && to > begin; --to) n -= visible(to - 1) ? 1 : 0;
    return to - from > n ? to - n : from;
  }
  /// Where the first `n` visible ones of [from, to) end, or `to` if there are fewer.
  [[nodiscard]] TKA_HOST_DEVICE constexpr std::int64_t first(std::int64_t n, std::int64_t from,
                                                             std::int64_t to) const noexcept {
    std::int64_t const plain = from < begin ? begin - from : 0;
    std::int64_t const step = n < plain ? n : plain;
    if (to - from <= step) return to;
    from += step;
    for (n -= step; n > 0 && from < to; ++from) n -= visible(from) ? 1 : 0;
    return from;
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
                                                                       row_mask const& mask,
                                                                       row_budget budget) noexcept {
  auto const clamp = [](std::int64_t x, std::int64_t low, std::int64_t high) {
    return x < low ? low : x > high ? high : x;
  };
  // A query before the first position (q_len > kv_len) sees nothing.
  std::int64_t const causal_end = std::is_same_v<Visibility, visibility::all> && position >= 0
                                      ? length
                                      : clamp(position + 1, 0, length);
  std::int64_t const end = clamp(mask.end, 0, causal_end);
  std::int64_t const first = clamp(mask.begin, 0, end);
  std::int64_t begin = first;
  if constexpr (std::is_same_v<Visibility, visibility::sliding_window>) {
    begin = clamp(position + 1 - o.window, first, end);
  }
  std::int64_t const drafts_begin = length - mask.draft_keys;
  draft_walk const walk{mask.draft_keys > 0 ? drafts_begin : end, mask.drafts};
  // The last keys count from the last visible one; what is forced is also visible.
  std::int64_t const recent_begin = walk.last(o.recent, first, end);
  if (recent_begin < begin) begin = recent_begin;
  std::int64_t const sinks_end = walk.first(o.sinks, first, begin);

  std::int64_t const visible = walk.count(first, sinks_end) + walk.count(begin, end);
  std::int64_t keep = budget.k >= 0 ? budget.k : o.budget.of(static_cast<std::int32_t>(visible));
  keep = clamp(keep, 0, budget.capacity);
  // A budget from the device may be too small for the forced keys: the recent ones come first.
  std::int64_t const tail = walk.last(o.recent < keep ? o.recent : keep, first, end);
  std::int64_t const left = keep - walk.count(tail, end);
  std::int64_t const head = walk.first(o.sinks < left ? o.sinks : left, first, tail);

  auto const narrow = [](std::int64_t n) { return static_cast<std::int32_t>(n); };
  visible_range r{.first = narrow(first),
                  .sinks_end = narrow(sinks_end),
                  .main_begin = narrow(begin),
                  .end = narrow(end),
                  .forced_head = narrow(head),
                  .forced_tail = narrow(tail),
                  .keep = narrow(keep)};
  if (mask.draft_keys > 0) {
    r.drafts_begin = narrow(drafts_begin);
    r.drafts = mask.drafts;
  }
  if (o.shard.count != 1) {
    r.first = narrow(local_below(o.shard, first));
    r.sinks_end = narrow(local_below(o.shard, sinks_end));
    r.main_begin = narrow(local_below(o.shard, begin));
    r.end = narrow(local_below(o.shard, end));
    r.forced_head = narrow(local_below(o.shard, head));
    r.forced_tail = narrow(local_below(o.shard, tail));
  }
  return r;
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD
