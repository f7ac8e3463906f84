// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What a plan of this backend knows beside its public part.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/tuning/score.cuh>
#include <tka/detail/cuda/tuning/select.cuh>
#include <tka/detail/cuda/tuning/select_rows.cuh>
#include <tka/plan.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// Everything here decides speed alone. Tests put absurd numbers in: see `engine::retune`.
struct plan_numbers {
  std::int32_t multiprocessors = 0;     ///< that the call is cut for
  std::int32_t compute_capability = 0;  ///< of the device: 10 * major + minor
  std::int32_t block_bytes = 0;         ///< shared memory that a block can have
  std::int32_t buffers = 0;             ///< slices of keys on their way
  std::int32_t select_bytes = 0;        ///< shared memory of a block that selects
  std::int32_t select_blocks = 0;       ///< such blocks on a multiprocessor
  score_tuning score{};
  select_tuning select{};
  select_rows_tuning select_rows{};
  friend constexpr bool operator==(plan_numbers const&, plan_numbers const&) = default;
};

[[nodiscard]] inline plan_numbers numbers_of(plan const& p) noexcept {
  return p.backend.get<plan_numbers>();
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
