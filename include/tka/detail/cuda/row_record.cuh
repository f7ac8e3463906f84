// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What is known of a row, found once by who scans its unit and left in scratch: to find it is a
/// long chain of reads and of code that runs once, and the stages behind begin with it.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/row.cuh>
#include <tka/detail/cuda/row_rules.cuh>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cuda {

template <class Problem>
struct alignas(16) row_record {
  row<Problem> own;
  ordered_key* scores;
  row_rules rules;
  bool is_long;  ///< selected by several blocks

  static constexpr int most_bytes = (row_state_words - record) * 4;

  /// The record of the wave's row `number`.
  [[nodiscard]] __device__ static row_record const& of(context<Problem> const& c,
                                                       std::int64_t number) noexcept {
    return *reinterpret_cast<row_record const*>(c.pool + std::int64_t{c.places[number]} * 32 +
                                                record);
  }
  /// Copies it to shared memory, with the lanes of a warp.
  __device__ void load(row_record const& from) noexcept {
    static_assert(sizeof(row_record) <= most_bytes && most_bytes <= 32 * 16);
    auto const lane = static_cast<int>(threadIdx.x % 32);
    if (lane < static_cast<int>(sizeof(row_record) / 16)) {
      reinterpret_cast<int4*>(this)[lane] = reinterpret_cast<int4 const*>(&from)[lane];
    }
  }
};

}  // namespace tka::inline TKA_ABI::detail::cuda
