// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// A block's slice of a row of scores, read by vectors of four that lie at multiples of 16 bytes.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/warp/cluster.cuh>
#include <tka/detail/cuda/work/math.cuh>

#include <cstdint>

namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda {

/// Vectors of a thread that travel together.
inline constexpr int slice_vectors = 4;

/// Vector 0 of a row is the one in which it begins, so the first and the last may lie in it partly;
/// places in a slice are counted from its first vector.
class row_slice {
 public:
  __device__ row_slice(float const* scores, std::int32_t keys, cluster const& blocks) noexcept {
    skipped_ = static_cast<std::int32_t>(reinterpret_cast<std::uintptr_t>(scores) / 4 % 4);
    base_ = scores - skipped_;
    keys_ = skipped_ + keys;
    std::int32_t const vectors = (keys_ + 3) / 4;
    each_ = (vectors + blocks.size - 1) / blocks.size;
    begin_ = smaller(blocks.rank * each_, vectors);
    end_ = smaller(begin_ + each_, vectors);
  }
  /// Keys of a slice, at most.
  [[nodiscard]] __device__ std::int32_t max_keys() const noexcept { return 4 * each_; }
  /// The index in the row of place 0.
  [[nodiscard]] __device__ std::int32_t first() const noexcept { return 4 * begin_ - skipped_; }
  [[nodiscard]] __device__ std::int32_t begin() const noexcept { return begin_; }
  [[nodiscard]] __device__ std::int32_t end() const noexcept { return end_; }

  /// Vectors that lie in the row: of it, and of this slice.
  [[nodiscard]] __device__ std::int32_t row_begin() const noexcept { return skipped_ > 0 ? 1 : 0; }
  [[nodiscard]] __device__ std::int32_t row_end() const noexcept { return keys_ / 4; }
  [[nodiscard]] __device__ std::int32_t whole_begin() const noexcept {
    return larger(begin_, row_begin());
  }
  [[nodiscard]] __device__ std::int32_t whole_end() const noexcept {
    return smaller(end_, row_end());
  }
  /// One of them.
  [[nodiscard]] __device__ float4 whole(std::int32_t v) const noexcept {
    return read(base_ + std::int64_t{4} * v);
  }
  /// This thread's vectors of a tile that begins at v; after the last one it is read again.
  template <int Step>
  __device__ __forceinline__ void load(float4 (&x)[slice_vectors], std::int32_t v) const noexcept {
    std::int32_t const last = whole_end() - 1;
    std::int32_t const own = v + static_cast<std::int32_t>(threadIdx.x);
    if (v + slice_vectors * Step <= last) {
      float const* const from = base_ + std::int64_t{4} * own;
#pragma unroll
      for (int q = 0; q < slice_vectors; ++q) x[q] = read(from + 4 * q * Step);
    } else {
#pragma unroll
      for (int q = 0; q < slice_vectors; ++q) x[q] = whole(smaller(own + q * Step, last));
    }
  }
  /// use(key, place, whether there is one) for the keys of vectors that lie in the row partly. One
  /// warp.
  template <class Use>
  __device__ void each_edge(Use&& use) const noexcept {
    auto const lane = static_cast<std::int32_t>(threadIdx.x % 32);
    std::int32_t const v = lane < 4 ? 0 : row_end();
    std::int32_t const i = 4 * v + lane % 4;
    bool const there = lane < 8 && v >= begin_ && v < end_ && i >= skipped_ && i < keys_ &&
                       (lane < 4 ? row_begin() > 0 : v >= row_begin());
    use(there ? base_[i] : 0.0f, i - 4 * begin_, there);
  }
  /// The score at a place, if it is in the row.
  [[nodiscard]] __device__ float at(std::int32_t place, bool& there) const noexcept {
    std::int32_t const i = 4 * begin_ + place;
    there = i >= skipped_ && i < smaller(keys_, 4 * end_);
    return there ? base_[i] : 0.0f;
  }

 private:
  [[nodiscard]] __device__ static float4 read(float const* from) noexcept {
    float4 x;
    asm volatile("ld.global.nc.L1::no_allocate.v4.f32 {%0, %1, %2, %3}, [%4];"
                 : "=f"(x.x), "=f"(x.y), "=f"(x.z), "=f"(x.w)
                 : "l"(from));
    return x;
  }

  float const* base_;     ///< where vector 0 begins
  std::int32_t keys_;     ///< of the row, and those that vector 0 has before it
  std::int32_t skipped_;  ///< those before it
  std::int32_t each_;
  std::int32_t begin_;
  std::int32_t end_;
};

}  // namespace tka::inline TKA_ABI::detail::inline TKA_BUILD::cuda
