// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// What a plan carries for the CUDA backend alone.

#pragma once

#include <tka/config.hpp>
#include <tka/plan.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

struct cuda_plan_numbers {
  std::int32_t multiprocessors = 0;  ///< that the call is cut for
  std::int32_t select_bytes = 0;     ///< shared memory of a block that selects
  std::int32_t select_blocks = 0;    ///< such blocks on a multiprocessor
  friend constexpr bool operator==(cuda_plan_numbers const&, cuda_plan_numbers const&) = default;
};

[[nodiscard]] TKA_HOST_DEVICE inline cuda_plan_numbers numbers_of(plan const& p) noexcept {
  return p.backend.get<cuda_plan_numbers>();
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
