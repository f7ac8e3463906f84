// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Quotients and roots with the same bits on every processor.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/bits.hpp>

#include <cmath>
#include <cstdint>

namespace tka::inline TKA_ABI::detail {

/// a / b, rounded once, also where nvcc is told that less will do.
[[nodiscard]] TKA_HOST_DEVICE inline float quotient(float a, float b) noexcept {
#if defined(__CUDA_ARCH__)
  return __fdiv_rn(a, b);
#else
  return a / b;
#endif
}

/// The root of x, rounded once.
[[nodiscard]] TKA_HOST_DEVICE inline float square_root(float x) noexcept {
#if defined(__CUDA_ARCH__)
  return __fsqrt_rn(x);
#else
  return std::sqrt(x);
#endif
}

/// `result` of arithmetic on `x`; a NaN becomes the quiet one with the sign of `x`, since
/// processors differ in the one that they make.
[[nodiscard]] TKA_HOST_DEVICE inline float one_nan(float result, float x) noexcept {
  std::uint32_t const sign = bits_as<std::uint32_t>(x) & 0x80000000u;
  return result == result ? result : bits_as<float>(sign | 0x7fc00000u);
}

}  // namespace tka::inline TKA_ABI::detail
