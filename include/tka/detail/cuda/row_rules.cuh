// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Which keys of a row compete, which are forced, and which a threshold keeps: the rules of
/// selection, apart from how a threshold is found.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/row.cuh>
#include <tka/detail/shared/ordered_key.hpp>
#include <tka/detail/shared/visible_range.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cuda {

/// Keys above `key` are kept, and the first `ties` of those equal to it.
struct threshold {
  ordered_key key;
  std::uint32_t ties;
};

enum class kept { no, tie, surely };

/// The rules for one row, as plain numbers: loops keep them in registers.
struct row_rules {
  std::int32_t visible;
  std::int32_t keep;
  std::int32_t head;  ///< [0, head) and [tail, visible) are forced
  std::int32_t tail;
  std::int32_t sinks_end;  ///< compact index c is local index c below it, else c + gap
  std::int32_t gap;
  bool given;  ///< a threshold of the caller's
  bool plain;  ///< every key above -inf competes
  ordered_key given_key;
  std::int64_t given_position;
  tka::shard shard;

  [[nodiscard]] __device__ bool keeps_all() const noexcept { return visible <= keep; }
  [[nodiscard]] __device__ std::int32_t local(std::int32_t c) const noexcept {
    return c < sinks_end ? c : c + gap;
  }
  [[nodiscard]] __device__ bool forced(std::int32_t c) const noexcept {
    return c < head || c >= tail;
  }
  /// Not behind a threshold of the caller's.
  [[nodiscard]] __device__ bool passes(std::int32_t c, ordered_key key) const noexcept {
    if (!given || key > given_key) return true;
    return key == given_key && global_position(shard, local(c)) <= given_position;
  }
  /// The key as it competes: below all others where it does not.
  [[nodiscard]] __device__ ordered_key competing(std::int32_t c, ordered_key key) const noexcept {
    return c < visible && !forced(c) && passes(c, key) ? key : key_of_nothing;
  }
  /// `limit.key` is not below -inf, and one of -inf has no ties.
  template <bool Plain>
  [[nodiscard]] __device__ kept judge(threshold const& limit, std::int32_t c,
                                      ordered_key key) const noexcept {
    if constexpr (!Plain) {
      if (key <= key_of_minus_infinity) return kept::no;
      if (forced(c)) return kept::surely;
      if (key < limit.key || !passes(c, key)) return kept::no;
    }
    return key > limit.key                       ? kept::surely
           : key == limit.key && limit.ties != 0 ? kept::tie
                                                 : kept::no;
  }
};

template <class Problem>
[[nodiscard]] __device__ row_rules rules_of(context<Problem> const& c, row<Problem> const& own,
                                            compact_range const& range) noexcept {
  row_rules r{};
  r.visible = range.visible();
  r.keep = range.range.keep;
  r.head = range.head();
  r.tail = range.tail();
  r.sinks_end = range.range.sinks_end;
  r.gap = range.gap();
  r.shard = c.p.options.shard;
  r.given = static_cast<bool>(c.a.given_threshold_score);
  if (r.given) {
    location const at = own.query(c);
    r.given_key = to_ordered(*c.a.given_threshold_score.at(at.outer, own.scope_head, at.token));
    r.given_position = *c.a.given_threshold_position.at(at.outer, own.scope_head, at.token);
  }
  r.plain = !r.given && r.head <= 0 && r.tail >= r.visible;
  return r;
}

}  // namespace tka::inline TKA_ABI::detail::cuda
