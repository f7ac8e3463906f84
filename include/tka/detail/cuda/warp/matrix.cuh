// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// Products on tensor cores: 16 x 8 x 16, 16-bit operands, fp32 sums.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/warp/async_copy.cuh>
#include <tka/precision/bf16.hpp>
#include <tka/precision/fp16.hpp>

#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::cuda {

/// The 16 x 16 left operand of a warp: lane l holds rows l / 4 and l / 4 + 8.
struct left_fragment {
  std::uint32_t r[4];
};

/// Four 8 x 8 matrices of 16-bit elements; lane l gives the shared address of row l % 8 of
/// matrix l / 8.
[[nodiscard]] __device__ inline left_fragment load_matrices(std::uint32_t row) noexcept {
  left_fragment f;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(f.r[0]), "=r"(f.r[1]), "=r"(f.r[2]), "=r"(f.r[3])
               : "r"(row)
               : "memory");
  return f;
}
[[nodiscard]] __device__ inline left_fragment load_matrices(void const* row) noexcept {
  return load_matrices(shared_address(row));
}
/// The same, each matrix transposed.
[[nodiscard]] __device__ inline left_fragment load_matrices_transposed(std::uint32_t row) noexcept {
  left_fragment f;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(f.r[0]), "=r"(f.r[1]), "=r"(f.r[2]), "=r"(f.r[3])
               : "r"(row)
               : "memory");
  return f;
}
[[nodiscard]] __device__ inline left_fragment load_matrices_transposed(void const* row) noexcept {
  return load_matrices_transposed(shared_address(row));
}

/// sum += left x right. T is the type of the operands.
template <class T>
__device__ inline void multiply_add(float (&sum)[4], left_fragment const& left,
                                    std::uint32_t right_low, std::uint32_t right_high) noexcept {
  if constexpr (std::is_same_v<T, bfloat16_t>) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(left.r[0]), "r"(left.r[1]), "r"(left.r[2]), "r"(left.r[3]), "r"(right_low),
          "r"(right_high));
  } else {
    static_assert(std::is_same_v<T, float16_t>);
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(left.r[0]), "r"(left.r[1]), "r"(left.r[2]), "r"(left.r[3]), "r"(right_low),
          "r"(right_high));
  }
}

}  // namespace tka::inline TKA_ABI::detail::cuda
