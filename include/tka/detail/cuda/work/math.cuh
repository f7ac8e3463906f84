// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Small integer arithmetic for host and device.

#pragma once

#include <tka/config.hpp>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

template <class T>
[[nodiscard]] TKA_HOST_DEVICE constexpr T smaller(T a, T b) noexcept {
  return b < a ? b : a;
}
template <class T>
[[nodiscard]] TKA_HOST_DEVICE constexpr T larger(T a, T b) noexcept {
  return a < b ? b : a;
}
[[nodiscard]] TKA_HOST_DEVICE constexpr std::int64_t ceil_div(std::int64_t a,
                                                              std::int64_t b) noexcept {
  return (a + b - 1) / b;
}
[[nodiscard]] TKA_HOST_DEVICE constexpr std::int64_t round_up(std::int64_t a,
                                                              std::int64_t b) noexcept {
  return ceil_div(a, b) * b;
}

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
