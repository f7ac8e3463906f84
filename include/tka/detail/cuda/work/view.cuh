// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What the stages of a wave see: the call, its schedule, and where the wave's slots lie. None of
/// it can be written through a view.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/work/geometry.cuh>
#include <tka/detail/cuda/work/schedule.cuh>
#include <tka/detail/cuda/work/wave.cuh>
#include <tka/detail/shared/problem.hpp>
#include <tka/plan.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

template <class Problem>
struct wave_view {
  plan const& p;
  arguments<Problem> const& a;
  geometry<Problem> const& g;
  schedule_table table;
  std::uint32_t* places;      ///< of the wave's slots: lines of `pool`
  std::uint32_t* pool;        ///< scratch for slots
  wave_shares const& shares;  ///< in shared memory
  bool lists;                 ///< the caller asks for something of lists
  wave now;

  /// Item n of this block's share of a kind.
  [[nodiscard]] __device__ item at(count_of kind, std::int64_t n) const noexcept {
    share const& s = shares[kind];
    return n == s.begin ? s.first : find_item(table, kind, n);
  }
  [[nodiscard]] __device__ std::uint32_t* unit_memory(std::int32_t b,
                                                      std::int64_t unit) const noexcept {
    return pool + (table.at(count_of::words, b) + unit * table.per_unit(count_of::words, b) -
                   now.first_word);
  }
  /// The number of a unit's first slot among those of its wave.
  [[nodiscard]] __device__ std::int64_t first_slot(std::int32_t b,
                                                   std::int64_t unit) const noexcept {
    std::int64_t const before = table.at(count_of::slots, b) +
                                unit * table.per_unit(count_of::slots, b) -
                                shares[count_of::slots].from;
    return before / attend_blocks<Problem>(p.shape);
  }
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
