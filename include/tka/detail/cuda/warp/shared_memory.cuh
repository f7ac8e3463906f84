// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Accesses by 32-bit addresses of shared memory, for loops in which the compiler would not know
/// that a pointer is one.

#pragma once

#include <tka/config.hpp>

#include <cuda_runtime_api.h>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::cuda {

[[nodiscard]] __device__ inline std::uint32_t shared_address(void const* p) noexcept {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(p));
}

[[nodiscard]] __device__ inline int4 load_shared_four(std::uint32_t address) noexcept {
  int4 v;
  asm volatile("ld.shared.v4.s32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "r"(address)
               : "memory");
  return v;
}

[[nodiscard]] __device__ inline std::int32_t load_shared(std::uint32_t address) noexcept {
  std::int32_t v;
  asm volatile("ld.shared.s32 %0, [%1];" : "=r"(v) : "r"(address) : "memory");
  return v;
}
[[nodiscard]] __device__ inline std::int32_t load_shared_16(std::uint32_t address) noexcept {
  std::int32_t v;
  asm volatile("ld.shared.u16 %0, [%1];" : "=r"(v) : "r"(address) : "memory");
  return v;
}
__device__ inline void store_shared(std::uint32_t address, std::int32_t v) noexcept {
  asm volatile("st.shared.s32 [%0], %1;" ::"r"(address), "r"(v) : "memory");
}
__device__ inline void store_shared_16(std::uint32_t address, std::int32_t v) noexcept {
  asm volatile("st.shared.u16 [%0], %1;" ::"r"(address), "h"(static_cast<std::int16_t>(v))
               : "memory");
}

/// ++*address, atomically.
__device__ inline void count_shared(std::uint32_t address) noexcept {
  asm volatile("red.shared.add.u32 [%0], 1;" ::"r"(address) : "memory");
}

}  // namespace tka::inline TKA_ABI::detail::cuda
