// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The lanes of a warp as the crew of one row or list.

#pragma once

#include <tka/config.hpp>

#include <cuda_runtime_api.h>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// All lanes take part. See `one_thread` for the members.
struct warp_crew {
  static constexpr std::int32_t size = 32;
  [[nodiscard]] __device__ static std::int32_t rank() noexcept {
    return static_cast<std::int32_t>(threadIdx.x % 32);
  }
  __device__ static void sync() noexcept { __syncwarp(); }
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
