// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Conversions between storage types in registers, and which type a pair of them is multiplied in.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/shared/bits.hpp>
#include <tka/precision/bf16.hpp>
#include <tka/precision/fp16.hpp>
#include <tka/precision/fp8.hpp>

#include <cuda_fp8.h>

#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::cuda {

/// The type in which queries of type Q meet keys of type K; void: not served.
template <class Q, class K>
struct product_type {
  static constexpr bool q8 = sizeof(Q) == 1;
  static constexpr bool k8 = sizeof(K) == 1;
  using type = std::conditional_t<
      std::is_same_v<Q, float>, std::conditional_t<std::is_same_v<K, float> || k8, float, void>,
      std::conditional_t<q8, std::conditional_t<k8, float16_t, K>,
                         std::conditional_t<k8 || std::is_same_v<Q, K>, Q, void>>>;
};
template <class Q, class K>
using product_type_t = typename product_type<Q, K>::type;

/// Two floats to two 16-bit values, the first in the low half, each to nearest even.
template <class T>
[[nodiscard]] __device__ inline std::uint32_t pack(float low, float high) noexcept {
  std::uint32_t out;
  if constexpr (std::is_same_v<T, bfloat16_t>) {
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(out) : "f"(high), "f"(low));
  } else {
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(out) : "f"(high), "f"(low));
  }
  return out;
}

[[nodiscard]] __device__ inline float half_to_float(std::uint16_t bits) noexcept {
  float out;
  asm("cvt.f32.f16 %0, %1;" : "=f"(out) : "h"(bits));
  return out;
}

/// Two e4m3 (the low 16 bits) to two 16-bit values. Exact.
template <class T>
[[nodiscard]] __device__ inline std::uint32_t widen_pair(std::uint32_t two) noexcept {
  __half2_raw const h =
      __nv_cvt_fp8x2_to_halfraw2(static_cast<__nv_fp8x2_storage_t>(two & 0xffffu), __NV_E4M3);
  if constexpr (std::is_same_v<T, float16_t>) {
    return static_cast<std::uint32_t>(h.x) | (static_cast<std::uint32_t>(h.y) << 16);
  } else {
    return pack<bfloat16_t>(half_to_float(h.x), half_to_float(h.y));
  }
}

/// One element as a float. Exact.
template <class T>
[[nodiscard]] __device__ inline float to_float(T x) noexcept {
  if constexpr (std::is_same_v<T, float16_t>) {
    return half_to_float(x.bits);
  } else if constexpr (std::is_same_v<T, float8_e4m3_t>) {
    return half_to_float(__nv_cvt_fp8_to_halfraw(x.bits, __NV_E4M3).x);
  } else {
    return static_cast<float>(x);
  }
}

}  // namespace tka::inline TKA_ABI::detail::cuda
