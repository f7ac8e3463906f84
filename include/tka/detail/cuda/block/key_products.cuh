// SPDX-FileCopyrightText: 2026 The tka authors
// SPDX-License-Identifier: Apache-2.0

/// @file
/// The score of one (q, k) pair, written once: scan and attend call this. Sums run over head_dim
/// in order, so neither the neighbours of a pair nor the shape of a tile changes a bit.

#pragma once

#include <tka/config.hpp>
#include <tka/detail/cuda/block/cache_rows.cuh>
#include <tka/detail/cuda/tuning.cuh>
#include <tka/detail/cuda/warp/async_copy.cuh>
#include <tka/detail/cuda/warp/matrix.cuh>
#include <tka/detail/cuda/warp/widen.cuh>

#include <cstdint>
#include <type_traits>

namespace tka::inline TKA_ABI::detail::cuda {

/// Rows of q in shared memory, as the product type C, with a pitch that keeps banks apart.
template <class C>
struct query_rows {
  char* memory;
  int dim;

  [[nodiscard]] __device__ int pitch() const noexcept {
    return dim * static_cast<int>(sizeof(C)) + 16;
  }
  [[nodiscard]] __device__ C* row(int r) const noexcept {
    return reinterpret_cast<C*>(memory + r * pitch());
  }
  template <class T>
  struct alignas(4 * sizeof(T)) four {
    T x[4];
  };
  /// Fills rows [0, count) and zeros up to `all`. `source(r)`: the row, at a multiple of 16 bytes.
  template <class Source>
  __device__ void fill(int count, int all, Source&& source) const noexcept {
    int const warp = static_cast<int>(threadIdx.x / 32);
    int const lane = static_cast<int>(threadIdx.x % 32);
    // A loop around few reads of four, as code that runs once is paid by its length.
#pragma unroll 1
    for (int r = warp; r < all; r += static_cast<int>(blockDim.x / 32)) {
      auto const* const from = r < count ? source(r) : nullptr;
      using Q = std::remove_cvref_t<decltype(*from)>;
#pragma unroll 1
      for (int d = 4 * lane; d < dim; d += 128) {
        four<Q> q{};
        if (from != nullptr) q = *reinterpret_cast<four<Q> const*>(from + d);
        four<C> c{};
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          if constexpr (std::is_same_v<Q, C>) {
            c.x[i] = q.x[i];
          } else {
            c.x[i] = C(to_float(q.x[i]));  // exact: a wider type
          }
        }
        *reinterpret_cast<four<C>*>(row(r) + d) = c;
      }
    }
  }
};

/// Products of the 128 keys of a tile with 8 * Tiles rows of q. Each warp has 16 keys.
template <class C, class Rows, bool Scaled, int Tiles>
class key_products {
  using K = typename Rows::element;
  static constexpr bool mla = std::is_same_v<Rows, mla_656_rows>;

 public:
  __device__ void clear() noexcept {
#pragma unroll
    for (int t = 0; t < Tiles; ++t) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        sum_[t][i] = 0.0f;
        if constexpr (Scaled) total_[t][i] = 0.0f;
      }
    }
  }

  /// Adds slice `slice` of all keys. `scale(key, block)`: of a key of the tile.
  template <class Scale>
  __device__ void add(char const* buffer, int slice, Rows const& rows, query_rows<C> const& q,
                      int /*row_count*/, bool one_scale, Scale&& scale) noexcept {
    int const first_dim = slice * Rows::slice_dims;
    if constexpr (mla) {
      if (slice == mla_656_rows::latent_slices) {
        multiply<bfloat16_t>(buffer, rows.bytes(slice), first_dim, q);
        if constexpr (Scaled) fold([](int) { return 1.0f; });
        return;
      }
    }
    multiply<K>(buffer, rows.bytes(slice), first_dim, q);
    if constexpr (Scaled) {
      int const next_dim = first_dim + Rows::slice_dims;
      bool const last = slice + 1 == rows.slices();
      if (last || (!one_scale && next_dim % scale_block == 0)) {
        int const block = one_scale ? 0 : first_dim / scale_block;
        fold([&](int key) { return scale(key, block); });
      }
    }
  }

  /// use(row, key, score) for every pair of this thread.
  template <class Use>
  __device__ void each(int row_count, Use&& use) const noexcept {
    int const lane = static_cast<int>(threadIdx.x % 32);
    int const key = static_cast<int>(threadIdx.x / 32) * 16 + lane / 4;
#pragma unroll
    for (int t = 0; t < Tiles; ++t) {
      if (t * 8 < row_count) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          float const s = Scaled ? total_[t][i] : sum_[t][i];
          use(t * 8 + 2 * (lane % 4) + i % 2, key + i / 2 * 8, s);
        }
      }
    }
  }

 private:
  template <class Stored>
  __device__ void multiply(char const* buffer, int bytes, int first_dim,
                           query_rows<C> const& q) noexcept {
    int const lane = static_cast<int>(threadIdx.x % 32);
    int const line = static_cast<int>(threadIdx.x / 32) * 16 + (lane / 8 & 1) * 8 + lane % 8;
    char const* const right = q.memory + lane / 4 * q.pitch() + first_dim * 2;
    int const next_tile = 8 * q.pitch();
    if constexpr (sizeof(Stored) == 2) {
      if (bytes == slice_bytes) {
        // In one piece, so that loads run ahead of products.
#pragma unroll
        for (int d = 0; d < slice_bytes / 2; d += 16) {
          step(buffer + swizzled(line, d / 8 + lane / 16), right + d * 2 + lane % 4 * 4, next_tile);
        }
      } else {
        for (int d = 0; d < bytes / 2; d += 16) {
          step(buffer + swizzled(line, d / 8 + lane / 16), right + d * 2 + lane % 4 * 4, next_tile);
        }
      }
    } else {
      // Four neighbouring bytes of a key lie in one register: two steps of 16 dimensions come with
      // one load, and the query's elements are taken in the same order.
      for (int d = 0; d < bytes; d += 32) {
        auto const raw = load_matrices(buffer + swizzled(line, d / 16 + lane / 16));
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          if (d + 16 * half < bytes) {
            std::uint32_t const low = raw.r[2 * half];
            std::uint32_t const high = raw.r[2 * half + 1];
            left_fragment const left{{widen_pair<C>(low), widen_pair<C>(high),
                                      widen_pair<C>(low >> 16), widen_pair<C>(high >> 16)}};
            char const* const r = right + (d + 16 * half) * 2 + lane % 4 * 8;
#pragma unroll
            for (int t = 0; t < Tiles; ++t) {
              auto const* const words = reinterpret_cast<std::uint32_t const*>(r + t * next_tile);
              multiply_add<C>(sum_[t], left, words[0], words[1]);
            }
          }
        }
      }
    }
  }

  /// Sixteen dimensions of 16-bit keys.
  __device__ void step(char const* key, char const* right, int next_tile) noexcept {
    auto const left = load_matrices(key);
#pragma unroll
    for (int t = 0; t < Tiles; ++t) {
      auto const* const words = reinterpret_cast<std::uint32_t const*>(right + t * next_tile);
      multiply_add<C>(sum_[t], left, words[0], words[4]);
    }
  }

  /// What was summed since the last fold, times the scales of this thread's two keys.
  template <class Scale>
  __device__ void fold(Scale&& scale) noexcept {
    int const key =
        static_cast<int>(threadIdx.x / 32) * 16 + static_cast<int>(threadIdx.x % 32) / 4;
    float const low = scale(key);
    float const high = scale(key + 8);
#pragma unroll
    for (int t = 0; t < Tiles; ++t) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        total_[t][i] = __fmaf_rn(sum_[t][i], i < 2 ? low : high, total_[t][i]);
        sum_[t][i] = 0.0f;
      }
    }
  }

  float sum_[Tiles][4];
  float total_[Scaled ? Tiles : 1][4];
};

/// In fp32: a chain of fused multiply-adds over head_dim. Each thread has one key and every other
/// row.
template <class Rows, bool Scaled, int Tiles>
class key_products<float, Rows, Scaled, Tiles> {
  using K = typename Rows::element;
  static constexpr int own_rows = Tiles * 4;
  static constexpr bool mla = std::is_same_v<Rows, mla_656_rows>;

 public:
  __device__ void clear() noexcept {
#pragma unroll
    for (int i = 0; i < own_rows; ++i) {
      sum_[i] = 0.0f;
      if constexpr (Scaled) total_[i] = 0.0f;
    }
  }
  template <class Scale>
  __device__ void add(char const* buffer, int slice, Rows const& rows, query_rows<float> const& q,
                      int row_count, bool one_scale, Scale&& scale) noexcept {
    int const first_dim = slice * Rows::slice_dims;
    if constexpr (mla) {
      if (slice == mla_656_rows::latent_slices) {
        multiply<bfloat16_t>(buffer, rows.bytes(slice), first_dim, q, row_count);
        if constexpr (Scaled) fold(1.0f);
        return;
      }
    }
    multiply<K>(buffer, rows.bytes(slice), first_dim, q, row_count);
    if constexpr (Scaled) {
      bool const last = slice + 1 == rows.slices();
      if (last || (!one_scale && (first_dim + Rows::slice_dims) % scale_block == 0)) {
        fold(scale(key(), one_scale ? 0 : first_dim / scale_block));
      }
    }
  }
  template <class Use>
  __device__ void each(int row_count, Use&& use) const noexcept {
#pragma unroll
    for (int i = 0; i < own_rows; ++i) {
      int const row = 2 * i + first_row();
      if (row < row_count) use(row, key(), Scaled ? total_[i] : sum_[i]);
    }
  }

 private:
  [[nodiscard]] __device__ static int key() noexcept {
    return static_cast<int>(threadIdx.x) % tile_keys;
  }
  [[nodiscard]] __device__ static int first_row() noexcept {
    return static_cast<int>(threadIdx.x) / tile_keys;
  }

  template <class Stored>
  __device__ void multiply(char const* buffer, int bytes, int first_dim, query_rows<float> const& q,
                           int row_count) noexcept {
    constexpr int step = 16 / static_cast<int>(sizeof(Stored));
    for (int chunk = 0; chunk * 16 < bytes; ++chunk) {
      uint4 const words = *reinterpret_cast<uint4 const*>(buffer + swizzled(key(), chunk));
      auto const* const stored = reinterpret_cast<Stored const*>(&words);
      float k[step];
#pragma unroll
      for (int d = 0; d < step; ++d) k[d] = to_float(stored[d]);
#pragma unroll
      for (int i = 0; i < own_rows; ++i) {
        int const row = 2 * i + first_row();
        if (row < row_count) {
          float const* const x = q.row(row) + first_dim + chunk * step;
#pragma unroll
          for (int d = 0; d < step; ++d) sum_[i] = __fmaf_rn(x[d], k[d], sum_[i]);
        }
      }
    }
  }
  __device__ void fold(float scale) noexcept {
#pragma unroll
    for (int i = 0; i < own_rows; ++i) {
      total_[i] = __fmaf_rn(sum_[i], scale, total_[i]);
      sum_[i] = 0.0f;
    }
  }

  float sum_[own_rows];
  float total_[Scaled ? own_rows : 1];
};

}  // namespace tka::inline TKA_ABI::detail::cuda
