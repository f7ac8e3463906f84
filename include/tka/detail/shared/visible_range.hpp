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

/// Counts and steps where every key is visible.
struct plain_walk {
  [[nodiscard]] TKA_HOST_DEVICE constexpr std::int64_t count(std::int64_t from,
                                                             std::int64_t to) const noexcept {
    return to - from;
  }
  /// Where the last `n` visible ones of [from, to) begin, or `from` if there are fewer.
  [[nodiscard]] TKA_HOST_DEVICE constexpr std::int64_t last(std::int64_t n, std::int64_t from,
                                                            std::int64_t to) const noexcept {
    return to - from > n ? to - n : from;
  }
  /// Where the first `n` visible ones of [from, to) end, or `to` if there are fewer.
  [[nodiscard]] TKA_HOST_DEVICE constexpr std::int64_t first(std::int64_t n, std::int64_t from,
                                                             std::int64_t to) const noexcept {
    return to - from > n ? from + n : to;
  }
};

/// The same where keys from `begin` on are drafts, some of them hidden.
struct draft_walk {
  std::int64_t begin;
  std::uint64_t drafts;

  [[nodiscard]] TKA_HOST_DEVICE constexpr bool visible(std::int64_t i) const noexcept {
    return i < begin || (drafts >> (i - begin) & 1u) != 0;
  }
  [[nodiscard]] TKA_HOST_DEVICE constexpr std::int64_t count(std::int64_t from,
                                                             std::int64_t to) const noexcept {
    std::int64_t n = to - from;
    for (std::int64_t i = from > begin ? from : begin; i < to; ++i) n -= visible(i) ? 0 : 1;
    return n;
  }
  [[nodiscard]] TKA_HOST_DEVICE constexpr std::int64_t last(std::int64_t n, std::int64_t from,
                                                            std::int64_t to) const noexcept {
    for (; n > 0 && to > from && to > begin; --to) n -= visible(to - 1) ? 1 : 0;
    return plain_walk{}.last(n, from, to);
  }
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

/// The same range in local indices of a shard. Out of line, like all that few calls need: what
/// every row begins with is paid by its length.
[[nodiscard]] __attribute__((noinline)) TKA_HOST_DEVICE inline visible_range in_shard(
    shard part, visible_range r) noexcept {
  auto const local = [&part](std::int32_t position) {
    return static_cast<std::int32_t>(local_below(part, position));
  };
  r.first = local(r.first);
  r.sinks_end = local(r.sinks_end);
  r.main_begin = local(r.main_begin);
  r.end = local(r.end);
  r.forced_head = local(r.forced_head);
  r.forced_tail = local(r.forced_tail);
  return r;
}

template <class Visibility, class Walk>
[[nodiscard]] TKA_HOST_DEVICE constexpr visible_range visible_range_by(
    Walk const& walk, std::int64_t position, std::int64_t length, options const& o,
    row_mask const& mask, row_budget budget) noexcept {
  auto const clamp = [](std::int64_t x, std::int64_t low, std::int64_t high) {
    return x < low ? low : x > high ? high : x;
  };
  // Causal: a query before the first position (q_len > kv_len) sees nothing.
  std::int64_t const causal_end =
      std::is_same_v<Visibility, visibility::all> ? length : clamp(position + 1, 0, length);
  std::int64_t const end = clamp(mask.end, 0, causal_end);
  std::int64_t const first = clamp(mask.begin, 0, end);
  std::int64_t begin = first;
  if constexpr (std::is_same_v<Visibility, visibility::sliding_window>) {
    begin = clamp(position + 1 - o.window, first, end);
  }
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
  return r;
}

/// The range of a row that is told which drafts it sees. Out of line too.
template <class Visibility>
[[nodiscard]] __attribute__((noinline)) TKA_HOST_DEVICE visible_range
visible_range_of_drafts(std::int64_t position, std::int64_t length, options const& o, row_mask mask,
                        row_budget budget) noexcept {
  draft_walk const walk{length - mask.draft_keys, mask.drafts};
  auto r = visible_range_by<Visibility>(walk, position, length, o, mask, budget);
  r.drafts_begin = static_cast<std::int32_t>(walk.begin);
  r.drafts = walk.drafts;
  return r;
}

/// The range of the query token at `position` in a sequence of `length` keys.
template <class Visibility>
[[nodiscard]] TKA_HOST_DEVICE visible_range visible_range_of(std::int64_t position,
                                                             std::int64_t length, options const& o,
                                                             row_mask const& mask,
                                                             row_budget budget) noexcept {
  // Drafts and shards do not go together.
  if (mask.draft_keys > 0) {
    return visible_range_of_drafts<Visibility>(position, length, o, mask, budget);
  }
  auto const r = visible_range_by<Visibility>(plain_walk{}, position, length, o, mask, budget);
  return o.shard.count == 1 ? r : in_shard(o.shard, r);
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD
