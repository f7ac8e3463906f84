// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A block's slice of a row of scores, read by vectors of four that lie at multiples of 16 bytes.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/warp/cluster.cuh>
#include <tka/detail/cuda/warp/softmax.cuh>
#include <tka/detail/cuda/work/math.cuh>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// Vectors of a thread that travel together.
inline constexpr int slice_vectors = 4;

class row_slice {
 public:
  __device__ row_slice(float const* scores, std::int32_t keys, cluster const& blocks) noexcept
      : base_(scores), keys_(keys) {
    skipped_ = static_cast<std::int32_t>(reinterpret_cast<std::uintptr_t>(scores) / 4 % 4);
    vectors_ = (skipped_ + keys + 3) / 4;
    each_ = (vectors_ + blocks.size - 1) / blocks.size;
    begin_ = smaller(blocks.rank * each_, vectors_);
    end_ = smaller(begin_ + each_, vectors_);
  }
  [[nodiscard]] __device__ std::int32_t vectors() const noexcept { return vectors_; }
  [[nodiscard]] __device__ std::int32_t begin() const noexcept { return begin_; }
  [[nodiscard]] __device__ std::int32_t end() const noexcept { return end_; }
  /// Keys of a slice, at most.
  [[nodiscard]] __device__ std::int32_t max_keys() const noexcept { return 4 * each_; }
  /// The index in the row of the slice's first; others are counted from it.
  [[nodiscard]] __device__ std::int32_t first() const noexcept { return 4 * begin_ - skipped_; }

  /// Vector v of the row: -inf where it reaches beyond it.
  [[nodiscard]] __device__ float4 at(std::int32_t v) const noexcept {
    std::int32_t const i = 4 * v - skipped_;
    float4 x;
    if (i >= 0 && i + 4 <= keys_) {
      asm volatile("ld.global.nc.L1::no_allocate.v4.f32 {%0, %1, %2, %3}, [%4];"
                   : "=f"(x.x), "=f"(x.y), "=f"(x.z), "=f"(x.w)
                   : "l"(base_ + i));
      return x;
    }
    x.x = one(i);
    x.y = one(i + 1);
    x.z = one(i + 2);
    x.w = one(i + 3);
    return x;
  }
  /// Vectors v, v + step, ... of this slice: -inf after its end.
  __device__ void load(float4 (&x)[slice_vectors], std::int32_t v, int step) const noexcept {
#pragma unroll
    for (int q = 0; q < slice_vectors; ++q) {
      std::int32_t const own = v + q * step;
      float const nothing = minus_infinity();
      x[q] = own < end_ ? at(own) : float4{nothing, nothing, nothing, nothing};
    }
  }

 private:
  [[nodiscard]] __device__ float one(std::int32_t i) const noexcept {
    return i >= 0 && i < keys_ ? base_[i] : minus_infinity();
  }

  float const* base_;
  std::int32_t keys_;
  std::int32_t skipped_;  ///< keys that the first vector would have before the row
  std::int32_t vectors_;
  std::int32_t each_;
  std::int32_t begin_;
  std::int32_t end_;
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
