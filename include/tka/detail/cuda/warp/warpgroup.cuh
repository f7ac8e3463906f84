// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Products of a warpgroup (four warps) on tensor cores of compute capability 9.0a: asynchronous,
/// right operands in shared memory. Only for code that is compiled for that architecture.

#pragma once

#include <tka/config.hpp>
#include <tka/precision/bf16.hpp>
#include <tka/precision/fp16.hpp>

#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// A matrix of lines of 128 bytes in shared memory, swizzled as `swizzled` does: 64 elements a
/// line, `next` bytes from there to the next 64. Begins at a multiple of 1024 bytes, or some steps
/// of 16 elements, or of 16 lines, further.
[[nodiscard]] __device__ inline std::uint64_t matrix_descriptor(std::uint32_t address,
                                                                std::uint32_t next) noexcept {
  constexpr std::uint64_t lines_of_swizzle = 1024 / 16;  // eight lines, in units of 16 bytes
  constexpr std::uint64_t swizzle_128 = 1;
  return std::uint64_t{(address & 0x3ffff) / 16} | std::uint64_t{next / 16} << 16 |
         lines_of_swizzle << 32 | swizzle_128 << 62;
}

/// Before the first product, and after registers of one were touched.
__device__ inline void begin_products() noexcept {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
/// Ends a group of products.
__device__ inline void commit_products() noexcept {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
/// Waits until at most `Left` groups are under way.
template <int Left>
__device__ inline void wait_for_products() noexcept {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Left) : "memory");
}
/// Sums are read after this only: a wait does not name them.
template <int Count>
__device__ inline void pin(float (&d)[Count]) noexcept {
#pragma unroll
  for (int i = 0; i < Count; ++i) asm volatile("" : "+f"(d[i])::"memory");
}

// clang-format off
#define TKA_SHARED_PRODUCT_128(type)                                   \
  asm volatile(                                         \
      "{.reg .pred p; setp.ne.b32 p, %66, 0; "           \
      "wgmma.mma_async.sync.aligned.m64n128k16.f32." type "." type " {" \
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63" \
      "}, %64, %65, p, 1, 1, 0, 0;}" \
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), \
        "+f"(d[6]), "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), \
        "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), \
        "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), \
        "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), \
        "+f"(d[30]), "+f"(d[31]), "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), \
        "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), "+f"(d[40]), "+f"(d[41]), \
        "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), \
        "+f"(d[48]), "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), \
        "+f"(d[54]), "+f"(d[55]), "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), \
        "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63]) \
      : "l"(a), "l"(b), "r"(add))
#define TKA_REGISTER_PRODUCT_128(type)                                   \
  asm volatile(                                         \
      "{.reg .pred p; setp.ne.b32 p, %69, 0; "           \
      "wgmma.mma_async.sync.aligned.m64n128k16.f32." type "." type " {" \
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63" \
      "}, {%64, %65, %66, %67}, %68, p, 1, 1, 1;}" \
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), \
        "+f"(d[6]), "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), \
        "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), \
        "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), \
        "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), \
        "+f"(d[30]), "+f"(d[31]), "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), \
        "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), "+f"(d[40]), "+f"(d[41]), \
        "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), \
        "+f"(d[48]), "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), \
        "+f"(d[54]), "+f"(d[55]), "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), \
        "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63]) \
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add))
#define TKA_REGISTER_PRODUCT_64(type)                                   \
  asm volatile(                                         \
      "{.reg .pred p; setp.ne.b32 p, %37, 0; "           \
      "wgmma.mma_async.sync.aligned.m64n64k16.f32." type "." type " {" \
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31" \
      "}, {%32, %33, %34, %35}, %36, p, 1, 1, 1;}" \
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), \
        "+f"(d[6]), "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), \
        "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), \
        "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), \
        "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), \
        "+f"(d[30]), "+f"(d[31]) \
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add))
// clang-format on

/// d (+)= a x b: 64 x 16 and 16 x 128, both with 16 elements of a line.
template <class T>
__device__ inline void multiply_shared(float (&d)[64], std::uint64_t a, std::uint64_t b,
                                       int add) noexcept {
  if constexpr (std::is_same_v<T, bfloat16_t>) {
    TKA_SHARED_PRODUCT_128("bf16");
  } else {
    static_assert(std::is_same_v<T, float16_t>);
    TKA_SHARED_PRODUCT_128("f16");
  }
}
/// d += a x b: 64 x 16 in registers, and 16 lines of 128 or 64 columns.
template <class T>
__device__ inline void multiply_lines(float (&d)[64], std::uint32_t const* a,
                                      std::uint64_t b) noexcept {
  constexpr int add = 1;
  if constexpr (std::is_same_v<T, bfloat16_t>) {
    TKA_REGISTER_PRODUCT_128("bf16");
  } else {
    static_assert(std::is_same_v<T, float16_t>);
    TKA_REGISTER_PRODUCT_128("f16");
  }
}
template <class T>
__device__ inline void multiply_lines(float (&d)[32], std::uint32_t const* a,
                                      std::uint64_t b) noexcept {
  constexpr int add = 1;
  if constexpr (std::is_same_v<T, bfloat16_t>) {
    TKA_REGISTER_PRODUCT_64("bf16");
  } else {
    static_assert(std::is_same_v<T, float16_t>);
    TKA_REGISTER_PRODUCT_64("f16");
  }
}
#undef TKA_SHARED_PRODUCT_128
#undef TKA_REGISTER_PRODUCT_128
#undef TKA_REGISTER_PRODUCT_64

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
