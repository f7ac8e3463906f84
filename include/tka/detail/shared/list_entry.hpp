// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Lists of selected keys as the caller sees them: entries, what stands after the last one, count
/// and threshold.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/ordered_key.hpp>
#include <tka/detail/shared/softmax_sums.hpp>
#include <tka/detail/shared/visible_range.hpp>
#include <tka/options.hpp>
#include <tka/source/location.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD {

/// A position that is none.
inline constexpr std::int32_t no_position = -1;

/// A local index as it stands in a list.
[[nodiscard]] TKA_HOST_DEVICE constexpr std::int32_t position_entry(shard const& part,
                                                                    std::int32_t local) noexcept {
  return static_cast<std::int32_t>(position_of(part, local));
}

/// The last key kept that was not forced: with it the set can be told by threshold.
struct last_kept {
  ordered_key key = key_of_nan;
  std::int32_t index = -1;  ///< local; negative: there is none
};

/// The outputs of one selection; null: the caller did not ask.
struct list_output {
  std::int32_t* positions = nullptr;  ///< [capacity]
  float* scores = nullptr;            ///< [capacity]
  std::int32_t capacity = 0;

  /// One entry: where the lanes of a warp have one each.
  TKA_HOST_DEVICE void put(std::int32_t entry, std::int32_t position,
                           ordered_key key) const noexcept {
    if (positions != nullptr) positions[entry] = position;
    if (scores != nullptr) scores[entry] = from_ordered(key);
  }
  /// What stands from `count` on. The threads of a crew share it.
  template <class Crew>
  TKA_HOST_DEVICE void put_tail(std::int32_t count, Crew const& crew) const noexcept {
    std::int32_t const first = count + crew.rank();
    if (positions != nullptr) {
      for (std::int32_t i = first; i < capacity; i += Crew::size) positions[i] = no_position;
    }
    if (scores != nullptr) {
      for (std::int32_t i = first; i < capacity; i += Crew::size) scores[i] = minus_infinity;
    }
  }
};

template <class Arguments>
[[nodiscard]] TKA_HOST_DEVICE list_output list_output_of(Arguments const& a, location at,
                                                         std::int32_t scope_head,
                                                         std::int32_t capacity) noexcept {
  return {.positions = a.positions ? a.positions.at(at.outer, scope_head, at.token) : nullptr,
          .scores = a.scores ? a.scores.at(at.outer, scope_head, at.token) : nullptr,
          .capacity = capacity};
}

/// Count and threshold of one selection.
template <class Arguments>
TKA_HOST_DEVICE void put_count(Arguments const& a, location at, std::int32_t scope_head,
                               std::int32_t count, last_kept const& last,
                               shard const& part) noexcept {
  if (a.count) *a.count.at(at.outer, scope_head, at.token) = count;
  if (a.threshold_score) {
    *a.threshold_score.at(at.outer, scope_head, at.token) = from_ordered(last.key);
  }
  if (a.threshold_position) {
    *a.threshold_position.at(at.outer, scope_head, at.token) =
        last.index < 0 ? no_position : position_entry(part, last.index);
  }
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD
