// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What is known of a slot, found once by who scans its unit and left in scratch: to find it is a
/// long chain of reads and of code that runs once, and the stages after it begin with it.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/work/selection_rules.cuh>
#include <tka/detail/cuda/work/slot.cuh>
#include <tka/detail/cuda/work/slot_layout.cuh>
#include <tka/detail/cuda/work/view.cuh>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

template <class Problem>
struct alignas(16) slot_record {
  slot<Problem> own;
  ordered_key* scores;
  selection_rules rules;
  bool is_long;  ///< selected by several blocks

  static constexpr int max_bytes = (slot_state_words - slot_record_at) * 4;

  /// The record of the wave's slot `number`.
  [[nodiscard]] __device__ static slot_record const& of(wave_view<Problem> const& c,
                                                        std::int64_t number) noexcept {
    return *reinterpret_cast<slot_record const*>(c.pool + std::int64_t{c.places[number]} * 32 +
                                                 slot_record_at);
  }
  /// Copies it to shared memory, with the lanes of a warp.
  __device__ void load(slot_record const& from) noexcept {
    static_assert(sizeof(slot_record) <= max_bytes && max_bytes <= 32 * 16);
    auto const lane = static_cast<int>(threadIdx.x % 32);
    if (lane < static_cast<int>(sizeof(slot_record) / 16)) {
      reinterpret_cast<int4*>(this)[lane] = reinterpret_cast<int4 const*>(&from)[lane];
    }
  }
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
